/** The models that come with the package, by the names that stand for them wherever a model is asked for. */
import { pathOf } from "../../formats/files.ts";

/** From the folder models/ of the package. */
const files: Readonly<Record<string, string>> = { stories: "stories/stories.gguf" };

export const embeddedNames: readonly string[] = Object.keys(files);

/** The file of an embedded model; undefined for any other name. A folder of that name is meant by "./stories". */
export function embeddedPath(name: string): string | undefined {
  const file = Object.hasOwn(files, name) ? files[name] : undefined;
  // This file lies three folders deep in the package, as the command line's bundle does.
  return file === undefined ? undefined : pathOf(new URL(`../../../models/${file}`, import.meta.url));
}

/** Files of ../shared/data that tests read in place. Where the folder is missing, tests are skipped with a word; under CI they fail. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The path of a file or folder under ../shared/data, and whether a test that needs it may be skipped. */
export function sharedData(path: string): { readonly path: string; readonly skip: boolean } {
  const full = fileURLToPath(new URL(`../../shared/data/${path}`, import.meta.url));
  return { path: full, skip: !existsSync(full) && process.env["CI"] === undefined };
}

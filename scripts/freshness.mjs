// Whether what was built is newer than what it is built from. Used at every start of a checkout, so it only reads names and times.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** The latest change, in milliseconds since 1970, of a folder's files and folders (folders show what was deleted); 0 where it is missing. */
export function newestChange(folder, counts = () => true) {
  let newest = 0;
  let entries;
  try {
    newest = statSync(folder).mtimeMs;
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return 0;
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== "build") newest = Math.max(newest, newestChange(path, counts));
    } else if (counts(entry.name)) newest = Math.max(newest, statSync(path).mtimeMs);
  }
  return newest;
}

/** The latest change of what `dist` is compiled from. */
export const newestSource = (root) =>
  Math.max(
    newestChange(join(root, "src"), (name) => !name.endsWith(".test.ts")),
    // dist/browser holds copies of these.
    ...["wasm", "models"].map((folder) => newestChange(join(root, folder), (name) => /\.(?:wasm|gguf)$/.test(name))),
    ...["tsconfig.json", "tsconfig.build.json"].map((file) => statSync(join(root, file)).mtimeMs),
  );

/** Whether `dist` was compiled from the sources as they are. */
export function distIsFresh(root) {
  try {
    return Number(readFileSync(join(root, "dist/.built"), "utf8")) === newestSource(root);
  } catch {
    return false;
  }
}

/** What the documents say of the repository is so: links lead somewhere, npm scripts exist, the map of folders is the tree. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const foldersOf = (path: string): string[] =>
  readdirSync(join(root, path), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map((entry) => entry.name);

/** Links of a document that lead to no file. */
const deadLinks = (text: string, folder: string): string[] =>
  [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)]
    .map(([, path]) => path!)
    .filter((path) => !existsSync(join(root, folder, path)));

/** Scripts that a document tells the reader to run and package.json lacks. */
const unknownScripts = (text: string, scripts: object): string[] =>
  [...text.matchAll(/npm (?:run )?(?!install|ci\b)([a-z][a-z:]*)/g)].map(([, name]) => name!).filter((name) => !(name in scripts));

/** Folders that the section "Folders" of ARCHITECTURE.md lists. */
const listedFolders = (text: string): string[] =>
  [...(/^## Folders\n[^]*?(?=^## |$(?![^]))/m.exec(text)?.[0] ?? "").matchAll(/^- `([\w-]+)\/`/gm)].map(([, name]) => name!);

/** Folders of the table of layers. */
const layerFolders = (text: string): string[] =>
  [...text.matchAll(/^\| \d+ \| ([^|]+) \|/gm)].flatMap(([, cell]) => [...cell!.matchAll(/`([\w-]+)`/g)].map(([, name]) => name!));

const documents = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "docs/benchmarks.md",
  "docs/browser.md",
  "docs/server.md",
  "docs/survey.md",
  ...readdirSync(join(root, "docs/decisions")).map((name) => `docs/decisions/${name}`),
];
const { scripts } = JSON.parse(read("package.json")) as { scripts: object };
const builtFolders = ["node_modules", "dist", "dist-packages", "coverage"];

test("a dead link, an unknown script and a missing folder are found", () => {
  expect(deadLinks("[a](README.md) [b](no/such.md#part) [c](https://example.org)", "")).toEqual(["no/such.md"]);
  expect(unknownScripts("`npm test`, `npm run no:such`, npm ci", scripts)).toEqual(["no:such"]);
  expect(listedFolders("## Folders\n\n- `a/`: x\n- `b/`: y\n\n## Next\n- `c/`: z")).toEqual(["a", "b"]);
  expect(layerFolders("| 1 | `a` `b` | x |\n| 2 | `c` | `d` |")).toEqual(["a", "b", "c"]);
});

test.each(documents)("%s", (path) => {
  expect(deadLinks(read(path), dirname(path))).toEqual([]);
  expect(unknownScripts(read(path), scripts)).toEqual([]);
});

test("the map of folders in ARCHITECTURE.md is the tree", () => {
  const text = read("ARCHITECTURE.md");
  const tree = foldersOf(".").filter((name) => !builtFolders.includes(name));
  expect(listedFolders(text).toSorted()).toEqual(tree.toSorted());
  const layers = layerFolders(text);
  expect(foldersOf("src").filter((name) => !layers.includes(name))).toEqual([]);
});

test("the layers in ARCHITECTURE.md are those of the lint rule", () => {
  const rows = /const layers = \[([^]*?)\n\];/.exec(read("oxlint.config.mjs"))![1]!;
  expect(layerFolders(read("ARCHITECTURE.md"))).toEqual([...rows.matchAll(/"([\w-]+)"/g)].map(([, name]) => name!));
});

/** Each check of the published package fails on a planted fault. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";

interface Checks {
  contentFaults(folder: string, wanted?: readonly string[]): string[];
  sizeFaults(folder: string, archiveBytes: number): string[];
  descriptionFaults(folder: string): Promise<string[]>;
  typeFaults(archive: string): string[];
  readonly budgets: { readonly archive: number; readonly wasmModule: number; readonly browserBundle: number };
}
const script = (name: string): string => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
const checks = (await import(script("package-check.mjs"))) as Checks;
const { npmPack } = (await import(script("pack.mjs"))) as { npmPack(folder: string, out: string): string };

let folder: string;
const write = (path: string, content: string | Uint8Array): void => {
  mkdirSync(join(folder, dirname(path)), { recursive: true });
  writeFileSync(join(folder, path), content);
};
const describe = (exports: object): void =>
  write("package.json", JSON.stringify({ name: "planted", version: "1.0.0", license: "MIT", type: "module", files: ["dist"], exports }));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "frugal-package-check-"));
  describe({ ".": { types: "./dist/index.d.ts", default: "./dist/index.js" } });
  write("dist/index.js", "export const answer = 42;\n");
  write("dist/index.d.ts", "export declare const answer: number;\n");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("contents: what is missing, and what only a checkout needs", () => {
  expect(checks.contentFaults(folder, ["dist/index.js"])).toEqual([]);
  expect(checks.contentFaults(folder, ["LICENSE"])).toEqual(["LICENSE is missing"]);
  for (const path of ["dist/a.test.js", "native/build/frugal.node", "native/test/pool.cpp", "testing/x.ts", "dist/.built"]) write(path, "");
  expect(checks.contentFaults(folder, [])).toHaveLength(5);
});

test("sizes: the archive, a WebAssembly module, the browser's modules", () => {
  const { budgets } = checks;
  write("wasm/frugal.wasm", new Uint8Array(budgets.wasmModule));
  write("dist/browser/frugal.js", randomBytes(budgets.browserBundle - 1000));
  write("dist/browser/stories.gguf", randomBytes(2000));
  expect(checks.sizeFaults(folder, budgets.archive)).toEqual([]);
  expect(checks.sizeFaults(folder, budgets.archive + 1)).toEqual([expect.stringMatching(/^the archive has /)]);
  write("wasm/frugal.wasm", new Uint8Array(budgets.wasmModule + 1));
  expect(checks.sizeFaults(folder, 1)).toEqual([expect.stringMatching(/^wasm\/frugal\.wasm has /)]);
  write("wasm/frugal.wasm", "");
  write("dist/browser/part-a.js", randomBytes(2000));
  expect(checks.sizeFaults(folder, 1)).toEqual([expect.stringMatching(/^dist\/browser, /)]);
  write("dist/browser/sizes.json", JSON.stringify({ text: { files: ["frugal.js"] } }));
  expect(checks.sizeFaults(folder, 1)).toEqual([]); // the other part is one that few ask for
});

test("publint: an export that is not there", async () => {
  expect(await checks.descriptionFaults(folder)).toEqual([]);
  describe({ ".": { types: "./dist/index.d.ts", default: "./dist/gone.js" } });
  expect((await checks.descriptionFaults(folder)).join()).toMatch(/gone\.js but the file does not exist/);
});

test("attw: types that are not there", () => {
  expect(checks.typeFaults(npmPack(folder, folder))).toEqual([]);
  describe({ ".": { types: "./dist/gone.d.ts", default: "./dist/index.js" } });
  expect(checks.typeFaults(npmPack(folder, folder)).join()).toMatch(/FallbackCondition/);
});

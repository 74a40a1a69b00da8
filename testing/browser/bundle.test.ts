/** `scripts/bundle-browser.mjs`: what becomes of the modules that pages import. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

interface Size {
  readonly bytes: number;
  readonly gzip: number;
}
interface Sizes {
  readonly total: Size;
  readonly starts: Readonly<Record<string, Size>>;
  readonly files: Readonly<Record<string, Size>>;
}

let dist: string;
const write = (path: string, content: string): void => {
  mkdirSync(dirname(join(dist, path)), { recursive: true });
  writeFileSync(join(dist, path), content);
};
const read = (path: string): string => readFileSync(join(dist, "browser", path), "utf8");

beforeEach(() => {
  dist = mkdtempSync(join(tmpdir(), "frugal-bundle-"));
  write("serving/engine.js", `export const run = () => "the engine runs";`);
  write("training/tune.js", `export const tune = () => "tuned by steps of ${"many words ".repeat(99)}";`);
  write(
    "backends/native/backend.js",
    `import { createRequire } from "node:module"; export const createNativeBackend = () => createRequire(".");`,
  );
  write("backends/wasm/thread.js", `onmessage = () => postMessage("a thread");`);
  write("browser/index.js", `export const load = () => new Worker(new URL("./engine.js", import.meta.url), { type: "module" });`);
  write(
    "browser/engine-worker.js",
    `import { run } from "../serving/engine.js";
     onmessage = async ({ data }) => {
       const { createNativeBackend } = await import("../backends/native/backend.js");
       postMessage([run(), createNativeBackend(), data.tune && (await import("../training/tune.js")).tune()]);
     };`,
  );
});
afterEach(() => rmSync(dist, { recursive: true, force: true }));

const bundle = async (): Promise<Sizes> => {
  const script = new URL("../../scripts/bundle-browser.mjs", import.meta.url).href;
  const { bundleBrowser } = (await import(script)) as { readonly bundleBrowser: (dist: string) => Promise<Sizes> };
  return bundleBrowser(dist);
};

test("takes the place of its modules, leaves the types and lays the model beside", async () => {
  write("browser/index.d.ts", "export declare const load: unknown;");
  await bundle();
  const names = readdirSync(join(dist, "browser"));
  expect(names).toEqual(expect.arrayContaining(["frugal.js", "engine.js", "thread.js", "index.d.ts", "stories.gguf", "sizes.json"]));
  expect(names).not.toContain("index.js");
  expect(existsSync(join(dist, "serving/engine.js"))).toBe(true);
});

test("a worker's address stays in the form that bundlers know", async () => {
  await bundle();
  expect(read("frugal.js")).toContain('new Worker(new URL("./engine.js",import.meta.url),{type:"module"})');
});

test("what only some ask for is a part of its own, and sizes say what is loaded at once", async () => {
  const { total, starts, files } = await bundle();
  expect(read("engine.js")).not.toContain("many words");
  const part = Object.keys(files).find((name) => name.startsWith("part-tune"));
  expect(read(part!)).toContain("many words");
  expect(total.bytes).toBe(Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0));
  expect(starts["engine.js"]!.bytes).toBeLessThanOrEqual(total.bytes - files[part!]!.bytes);
  expect(JSON.parse(read("sizes.json"))).toMatchObject({ total });
});

test("holds no native code, and refuses what else would need Node", async () => {
  await bundle();
  const all = readdirSync(join(dist, "browser")).filter((name) => name.endsWith(".js"));
  expect(all.some((name) => read(name).includes("node:"))).toBe(false);
  expect(all.some((name) => read(name).includes("a browser, which loads no native code"))).toBe(true);
  write("browser/index.js", `import { run } from "../other.js"; run();`);
  write("other.js", `import { readFileSync } from "node:fs"; export const run = () => readFileSync("x");`);
  await expect(bundle()).rejects.toThrow(/other\.js imports node:fs, which browsers do not have/);
});

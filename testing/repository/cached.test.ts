/** A bundle runs as V8 compiled it last: kept after the first good run, replaced where it does not fit, and never needed. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const cached = new URL("../../bin/cached.mjs", import.meta.url).href;
let folder: string;
let bundle: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "frugal-cached-"));
  bundle = join(folder, "main.cjs");
  writeFileSync(
    bundle,
    `const { basename } = require("node:path");
     const main = () => console.log(basename(__filename));
     main();
     if (process.env.FAIL) process.exitCode = 1;`,
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(name: string, env: Record<string, string> = {}): { readonly output: string; readonly code: number | null } {
  const script = `import { runCached } from ${JSON.stringify(cached)}; runCached(${JSON.stringify(pathToFileURL(bundle).href)}, "${name}");`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { output: (stdout + stderr).trim(), code: status };
}
const kept = (): string[] => readdirSync(folder).filter((name) => name !== "main.cjs");
const good = { output: "main.cjs", code: 0 };

test.skipIf(process.platform === "win32")("code is kept for each use, after runs that succeed, and used the next time", () => {
  expect(run("one", { FAIL: "1" })).toEqual({ ...good, code: 1 });
  expect(kept()).toEqual([]);
  expect(run("one")).toEqual(good);
  expect(kept()).toEqual([`main.cjs.one-${process.version}-${process.arch}`]);
  const path = join(folder, kept()[0]!);
  const first = statSync(path);
  expect(run("one")).toEqual(good);
  expect(statSync(path).mtimeMs).toBe(first.mtimeMs); // it was accepted, so it is not written again
  expect(run("two")).toEqual(good);
  expect(kept()).toHaveLength(2);
});

test.skipIf(process.platform === "win32")("code that does not fit is replaced", () => {
  run("one");
  const path = join(folder, kept()[0]!);
  const right = readFileSync(path);
  for (const wrong of [Buffer.alloc(0), Buffer.from("no code at all"), right.subarray(0, 100)]) {
    writeFileSync(path, wrong);
    expect(run("one")).toEqual(good);
    expect(readFileSync(path).length).toBeGreaterThan(wrong.length);
  }
});

test.skipIf(process.platform === "win32" || process.getuid?.() === 0)("where nothing may be written it runs all the same", () => {
  chmodSync(folder, 0o500);
  expect(run("one")).toEqual(good);
  chmodSync(folder, 0o700);
  expect(kept()).toEqual([]);
});

test("names that are no file names do no harm", () => {
  expect(run("x".repeat(5000)).output).toMatch(/^main\.cjs/);
});

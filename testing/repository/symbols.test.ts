/** The guard against functions merged across instruction sets fails on a planted one, and stays silent on what each set has of its own. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const guard = fileURLToPath(new URL("../../native/check-symbols.mjs", import.meta.url));
const has = (tool: string): boolean => spawnSync(tool, ["--version"]).status === 0;
const compiler = ["clang++", "clang++-16", "g++"].find(has);
const able = compiler !== undefined && ["nm", "llvm-nm", "llvm-nm-16"].some(has);
if (!able && process.env["CI"]) throw new Error("symbols: a C++ compiler and nm are needed in continuous integration");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "frugal-symbols-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What the guard says of one object of the set avx2 that is compiled from `source`. */
function said(name: string, source: string): { readonly output: string; readonly status: number | null } {
  const place = mkdtempSync(join(folder, name));
  const file = join(place, "kernel.cpp");
  writeFileSync(file, source);
  const compiled = spawnSync(compiler!, ["-std=c++20", "-O3", "-c", file, "-o", join(place, "kernel_cpp.avx2.o")], { encoding: "utf8" });
  expect(compiled.stderr).toBe("");
  const { stdout, stderr, status } = spawnSync(process.execPath, [guard, place], { encoding: "utf8" });
  return { output: stdout + stderr, status };
}

const called = "[[gnu::noinline]] ";
const user = (call: string): string => `extern "C" float frugal_kernel_avx2(float x) { return ${call}; }\n`;

test.runIf(able)("an inline function, a template or an inline variable outside of the set is named", () => {
  const planted = [
    `namespace frugal { ${called}inline float twice(float x) { return x + x; } }\n${user("frugal::twice(x)")}`,
    `namespace frugal { template <class T> ${called}T twice(T x) { return x + x; } }\n${user("frugal::twice(x)")}`,
    `namespace frugal { struct Number { float x; ${called}float twice() const { return x + x; } }; }\n${user("frugal::Number{x}.twice()")}`,
    `namespace frugal { inline float twice = 2; }\n${user("x * frugal::twice")}`,
    // Another set's name is not its own.
    `namespace frugal::avx512 { ${called}inline float twice(float x) { return x + x; } }\n${user("frugal::avx512::twice(x)")}`,
  ];
  for (const source of planted) {
    const { output, status } = said("planted", source);
    expect(output, source).toMatch(/merged across instruction sets: kernel_cpp\.avx2\.o: \S*twice/);
    expect(status).toBe(1);
  }
});

test.runIf(able)("functions that are static or in the set's namespace are its own", () => {
  const allowed = [
    `namespace frugal { ${called}static float twice(float x) { return x + x; } }\n${user("frugal::twice(x)")}`,
    `namespace frugal::avx2 { ${called}inline float twice(float x) { return x + x; } }\n${user("frugal::avx2::twice(x)")}`,
    `namespace frugal::avx2 { template <class T> ${called}T twice(T x) { return x + x; } }\n${user("frugal::avx2::twice(x)")}`,
  ];
  for (const source of allowed) expect(said("allowed", source), source).toEqual({ output: "", status: 0 });
});

test.runIf(able)("a folder without kernel objects is an error, not a success", () => {
  const empty = mkdtempSync(join(folder, "empty"));
  const { stderr, status } = spawnSync(process.execPath, [guard, empty], { encoding: "utf8" });
  expect(stderr).toContain("no kernel objects");
  expect(status).toBe(1);
});

/** Doctor: what runs here is measured, and what is missing leads to advice. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { diagnose } from "./advice.ts";
import { examineBackends } from "./backends.ts";
import { examineMachine, runtimeHere } from "./machine.ts";
import type { BackendReport, DoctorReport } from "./report.ts";

const machine: Omit<DoctorReport, "backend" | "why" | "advice" | "backends"> = {
  version: "1.2.3",
  runtime: { name: "node", version: "20.19.0", node: "20.19.0", v8: "11" },
  platform: "linux-x64",
  native_package: "@frugal/native-linux-x64",
  processor: { model: "some", cores: 4, threads: 4, features: ["avx2"] },
  memory: { total_bytes: 2 ** 34, free_bytes: 2 ** 33, limit_bytes: null },
  cache: { path: "/cache", free_bytes: 2 ** 40 },
  compiler: null,
};
const [native, relaxed, baseline, reference]: readonly [BackendReport, BackendReport, BackendReport, BackendReport] = [
  { name: "native", runs: true, description: "native: C++" },
  { name: "wasm", variant: "relaxed", runs: true },
  { name: "wasm", variant: "baseline", runs: true },
  { name: "reference", runs: true },
];
const without = (report: BackendReport, reason: string): BackendReport => ({ ...report, runs: false, reason });
const all = [native, relaxed, baseline, reference];

test("every backend that runs here is listed best first, and measured for the time that is given", async () => {
  const backends = await examineBackends(2, 30);
  expect(backends.map(({ name }) => name)).toEqual(["native", "wasm", "wasm", "reference"]);
  for (const { runs, tokens_per_second: speed } of backends) expect(speed !== undefined && speed > 0).toBe(runs);
  expect(backends.at(-1)!.runs).toBe(true);
  expect(backends[0]!.tried!.map(({ kind }) => kind)[0]).toBe("own build");
});

test("quick measures none, and threads are those that are asked for", async () => {
  const backends = await examineBackends(1, 0);
  for (const { name, runs, description, tokens_per_second: speed } of backends) {
    expect(speed).toBeUndefined();
    if (runs && name !== "reference") expect(description).toContain("1 thread");
  }
});

test("this machine: cache by FRUGAL_CACHE, limits and sizes in bytes", async () => {
  const before = process.env["FRUGAL_CACHE"];
  process.env["FRUGAL_CACHE"] = "/no/such/folder";
  const found = await examineMachine();
  if (before === undefined) delete process.env["FRUGAL_CACHE"];
  else process.env["FRUGAL_CACHE"] = before;
  expect(found.cache.path).toBe(join("/no/such/folder", "hub"));
  expect(found.cache.free_bytes).toBeGreaterThan(0);
  expect(found.memory.total_bytes).toBeGreaterThan(2 ** 26);
  expect(found.processor.threads).toBeGreaterThan(0);
});

test("the runtime says what it is", () => {
  expect(runtimeHere({ node: "22.1.0", v8: "12" })).toEqual({ name: "node", version: "22.1.0", node: "22.1.0", v8: "12" });
  expect(runtimeHere({ node: "22.1.0", bun: "1.2.0" })).toMatchObject({ name: "bun", version: "1.2.0" });
  expect(runtimeHere({ node: "22.1.0", electron: "40.0.0", v8: "14" })).toMatchObject({ name: "electron", version: "40.0.0" });
});

test("where the fastest runs on all cores there is nothing to advise", () => {
  expect(diagnose({ ...machine, backends: all })).toMatchObject({ backend: "native", advice: [] });
});

test("without the native core: the package, a compiler or set-up, and a newer runtime for relaxed SIMD", () => {
  const backends = [without(native, "is not there"), without(relaxed, "no relaxed SIMD"), baseline, reference];
  const { backend, why, advice } = diagnose({ ...machine, backends });
  expect([backend, why]).toEqual(["wasm", "native: is not there; wasm relaxed: no relaxed SIMD"]);
  expect(advice[0]).toContain("npm install @frugal/native-linux-x64@1.2.3");
  expect(advice[1]).toMatch(/^install clang or g\+\+: then npm run setup/);
  expect(advice[2]).toContain("newer version of node");
  const { advice: others } = diagnose({ ...machine, backends, native_package: null, compiler: "g++" });
  expect(others[0]).toMatch(/^npm run setup .* with g\+\+$/);
});

test("a binary that is broken comes first", () => {
  const tried = [{ kind: "package", file: "/x/frugal.node", reason: "does not load: wrong machine" }];
  const { advice } = diagnose({ ...machine, backends: [{ ...without(native, "no"), tried }, relaxed] });
  expect(advice[0]).toBe("/x/frugal.node does not load: wrong machine; install or build it again");
});

test("fewer processors than there are, a full disk, and no backend at all", () => {
  const processor = { ...machine.processor, threads: 1 };
  const { advice } = diagnose({ ...machine, processor, cache: { path: "/cache", free_bytes: 1000 }, backends: all });
  expect(advice).toEqual([
    expect.stringContaining("1 of 4 processors"),
    expect.stringMatching(/free for downloads in \/cache; .*FRUGAL_CACHE/),
  ]);
  expect(diagnose({ ...machine, backends: all.map((report) => without(report, "broken")) }).backend).toBe("none");
});

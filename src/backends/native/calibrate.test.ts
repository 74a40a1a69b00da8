/** Calibration gives plausible numbers and refuses what it does not know. How fast this machine is decides nothing here. */
import { expect, test } from "vitest";
import { findAddon } from "./addon.ts";
import { instructionSets } from "./backend.ts";
import { calibrate, type Calibration, calibrations } from "./calibrate.ts";

const found = findAddon();
const native = test.skipIf("reason" in found);

native.each(calibrations)("%s is between a toy's and a supercomputer's", { timeout: 60_000 }, async (kind) => {
  const rate = await calibrate(kind, { threads: 1 });
  expect(rate).toBeGreaterThan(1e6);
  expect(rate).toBeLessThan(1e15);
});

native("an instruction set is chosen by name", { timeout: 60_000 }, async () => {
  const sets = instructionSets();
  const slowest = "sets" in sets ? sets.sets.at(-1)! : "";
  expect(await calibrate("int8", { threads: 1, instructionSet: slowest })).toBeGreaterThan(0);
});

native("the event loop goes on meanwhile", { timeout: 60_000 }, async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await calibrate("f32", { threads: 1 });
  clearInterval(timer);
  expect(turns).toBeGreaterThan(2);
});

native.each([
  ["a kind", "int9" as Calibration, {}, /did you mean "int8"/],
  ["no threads", "f32" as const, { threads: 0 }, /from 1 to 1024, got 0/],
  ["half a thread", "f32" as const, { threads: 1.5 }, /got 1.5/],
  ["an instruction set", "f32" as const, { instructionSet: "avx1024" }, /does not run "avx1024"; it runs/],
])("refuses %s it does not know", async (_what, kind, options, message) => {
  await expect(calibrate(kind, options)).rejects.toThrow(message);
});

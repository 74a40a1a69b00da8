import { expect, test } from "vitest";
import { createStepTimes } from "./step-times.ts";

test("times are averages of what was measured, read in between and in proportion beyond", () => {
  const times = createStepTimes();
  expect(times.expected(1)).toBeUndefined();
  expect(times.rowsWithin(5, 32, 512)).toBe(512);
  times.record(1, 8);
  times.record(64, 32);
  expect([times.expected(1), times.expected(64), times.expected(128)]).toEqual([8, 32, 64]);
  expect(times.expected(22)).toBeCloseTo(16, 0);
  times.record(1, 10);
  expect(times.expected(1)).toBeCloseTo(8.3);
});

test("the rows that fit a goal are bounded on both sides", () => {
  const times = createStepTimes();
  times.record(64, 32);
  expect(times.rowsWithin(64, 32, 512)).toBe(128);
  expect(times.rowsWithin(1, 32, 512)).toBe(32);
  expect(times.rowsWithin(1e6, 32, 512)).toBe(512);
});

test("a stall counts for little", () => {
  const times = createStepTimes();
  times.record(1, 8);
  times.record(1, 8000);
  expect(times.expected(1)).toBeLessThan(12);
});

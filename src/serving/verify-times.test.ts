import { expect, test } from "vitest";
import { createVerifyTimes } from "./verify-times.ts";

test("nothing is known before the first step", () => {
  const times = createVerifyTimes();
  expect(times.expected(1)).toBeUndefined();
  times.record(4, 12);
  expect([1, 4, 9].map(times.expected)).toEqual([12, 12, 12]);
});

test("between and beyond what was seen lie straight lines", () => {
  const times = createVerifyTimes();
  times.record(8, 30);
  times.record(1, 10);
  times.record(4, 16);
  expect([1, 2, 3, 4, 6, 8, 10].map(times.expected)).toEqual([10, 12, 14, 16, 23, 30, 37]);
});

test("an average follows what changes, and one disturbed step hardly counts", () => {
  const times = createVerifyTimes();
  for (let i = 0; i < 20; i++) times.record(1, 10);
  times.record(1, 60);
  expect(times.expected(1)).toBeCloseTo(20, 6);
  for (let i = 0; i < 40; i++) times.record(1, 14);
  expect(times.expected(1)).toBeCloseTo(14, 1);
});

test("more rows never take less time", () => {
  const times = createVerifyTimes();
  times.record(1, 10);
  times.record(3, 8);
  expect(times.expected(2)).toBe(10);
  expect(times.expected(5)).toBe(10);
});

test("many rows share an average with their neighbours", () => {
  const times = createVerifyTimes();
  times.record(100, 50);
  times.record(101, 60);
  expect(times.expected(100)).toBe(55);
});

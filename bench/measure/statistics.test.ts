import { expect, test } from "vitest";
import { median, pairwiseRatios, summarize } from "./statistics.ts";

test("the median is the middle value, or the mean of the two in the middle", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([10, 9, 2, 1])).toBe(5.5);
  expect(median([7])).toBe(7);
  expect(() => median([])).toThrow("no values");
});

test("one outlier moves the spread, not the median", () => {
  expect(summarize([5, 4, 6, 5, 1000])).toEqual({ median: 5, least: 4, most: 1000 });
});

test("ratios are of the same round", () => {
  // A machine that halves its speed for one round changes no ratio.
  expect(pairwiseRatios([20, 10, 20], [10, 5, 10])).toEqual([2, 2, 2]);
  expect(pairwiseRatios([20, 10, 20], [10, 5])).toEqual([2, 2]);
});

/** How often each adapter is asked for. */
import { expect, test } from "vitest";
import { popularity } from "./many.ts";

test("the k-th adapter is asked for 1/k as often as the first", () => {
  const asked = popularity(6000, 50);
  const counts = Array.from({ length: 50 }, (_, k) => asked.filter((each) => each === k).length);
  const total = Array.from({ length: 50 }, (_, k) => 1 / (k + 1)).reduce((sum, share) => sum + share, 0);
  counts.forEach((count, k) => expect(Math.abs(count - 6000 / (k + 1) / total)).toBeLessThan(4));
  expect(popularity(6000, 50)).toEqual(asked);
  expect(new Set(popularity(20, 1))).toEqual(new Set([0]));
});

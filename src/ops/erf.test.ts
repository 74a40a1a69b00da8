import { expect, it } from "vitest";
import { errorFunction } from "./erf.ts";

// Abramowitz and Stegun, table 7.1, and its continuation.
it.each([
  [0, 0],
  [0.5, 0.5204998778130465],
  [1, 0.8427007929497149],
  [2, 0.9953222650189527],
  [2.5, 0.9995930479825551],
  [3, 0.9999779095030014],
  [4, 0.9999999845827421],
  [6, 1],
  [Infinity, 1],
])("erf(%d) is %d, and the opposite for the opposite", (x, wanted) => {
  expect(errorFunction(x)).toBeCloseTo(wanted, 14);
  expect(errorFunction(-x)).toBeCloseTo(-wanted, 14);
});

it("keeps what is not a number", () => {
  expect(errorFunction(Number.NaN)).toBeNaN();
});

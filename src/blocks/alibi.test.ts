/** Slopes against those of the original (transformers, build_alibi_tensor). */
import { expect, test } from "vitest";
import { alibiSlopes } from "./alibi.ts";

test("a power of two", () => expect(alibiSlopes(4)).toEqual([0.25, 0.0625, 0.015625, 0.00390625]));

test("other numbers take the odd steps of the next power", () => {
  expect(alibiSlopes(6)).toEqual([0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
  expect(alibiSlopes(1)).toEqual([2 ** -8]);
});

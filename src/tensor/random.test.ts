import { expect, test } from "vitest";
import { philox, uniform } from "./random.ts";

// Known answers of the authors' Random123 distribution (kat_vectors).
test("philox gives the published answers", () => {
  expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  expect(philox([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff])).toEqual([
    0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
  ]);
  expect(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
    0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
  ]);
});

test("numbers are even over [0, 1) and depend on seed and position", () => {
  const counts = new Array<number>(10).fill(0);
  for (let position = 0; position < 10_000; position++) counts[Math.floor(uniform(3, position) * 10)]! += 1;
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  expect(uniform(1, 5)).toBe(uniform(1, 5));
  expect(uniform(1, 5)).not.toBe(uniform(2, 5));
  expect(uniform(1, 5)).not.toBe(uniform(1, 6));
  expect(uniform(2 ** 40, 5)).not.toBe(uniform(0, 5));
});

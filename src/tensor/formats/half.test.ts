import fc from "fast-check";
import { expect, test } from "vitest";
import { halfBits, halfValue, nearestScale, readHalf, writeHalf } from "./half.ts";

test("every half that is a number comes back, signs of zero and subnormals included", () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    if (((bits >> 10) & 31) !== 31) expect(halfBits(halfValue(bits))).toBe(bits);
  }
});

test("halves have their values", () => {
  const values: [number, number][] = [
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x8000, -0],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x7e00, NaN],
  ];
  for (const [bits, value] of values) expect(halfValue(bits)).toBe(value);
});

test("rounds to the nearest, ties to even", () => {
  const finite = fc.integer({ min: 0, max: 0x7bfe });
  fc.assert(
    fc.property(finite, fc.double({ min: 0, max: 1, noNaN: true }), (bits, between) => {
      const [low, high] = [halfValue(bits), halfValue(bits + 1)];
      const value = low + (high - low) * between;
      const middle = (low + high) / 2;
      const expected = value < middle ? bits : value > middle ? bits + 1 : bits + (bits & 1);
      expect(halfBits(value)).toBe(expected);
      expect(halfBits(-value)).toBe(expected | 0x8000);
    }),
  );
  expect(halfBits(halfValue(5) + 2 ** -25)).toBe(6);
  expect(halfBits(halfValue(6) + 2 ** -25)).toBe(6);
});

test("a number past the largest half is an error, not infinity", () => {
  expect(halfBits(65519.9)).toBe(0x7bff);
  for (const value of [65520, -1e9, Infinity, NaN]) {
    expect(() => halfBits(value)).toThrow(expect.objectContaining({ code: "FRUGAL_NUMERIC", fields: { value } }));
  }
});

test("reads and writes at odd places", () => {
  const bytes = new Uint8Array(5);
  expect(writeHalf(bytes, 1, 1 / 3)).toBe(0.333251953125);
  expect([...bytes]).toEqual([0, 0x55, 0x35, 0, 0]);
  expect(readHalf(bytes, 1)).toBe(0.333251953125);
});

test("a scale that is not zero stays so", () => {
  expect(nearestScale(1e-9)).toBe(2 ** -24);
  expect(nearestScale(-1e-9)).toBe(-(2 ** -24));
  expect(nearestScale(0)).toBe(0);
  expect(nearestScale(1 / 3)).toBe(0.333251953125);
});

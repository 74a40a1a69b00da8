/** Numbers through 8-bit codes and back. That the levels are Dettmers' is tested with the optimizer, against bitsandbytes. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { blockSize, dynamicLevels, storedPerBlock } from "./block-codes.ts";
import { blockDequantize } from "./block-dequantize.ts";
import { blockQuantize } from "./block-quantize.ts";

function stored(numbers: Float32Array, signed: boolean): Float32Array {
  const blocks = Math.ceil(numbers.length / blockSize);
  const data = new Float32Array(blocks * storedPerBlock);
  blockQuantize.reference([{ shape: [numbers.length], data: numbers }], { shape: [blocks, storedPerBlock], data }, { signed });
  return data;
}

function there(numbers: Float32Array, signed: boolean): Float32Array {
  const codes = stored(numbers, signed);
  const back = new Float32Array(numbers.length);
  const shape = [codes.length / storedPerBlock, storedPerBlock];
  blockDequantize.reference([{ shape, data: codes }], { shape: [back.length], data: back }, { shape: [back.length], signed });
  return back;
}

const numbers = fc
  .array(fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e18), max: Math.fround(1e18) }), {
    minLength: 1,
    maxLength: 600,
  })
  // Subnormal magnitudes have no inverse in f32, and are worth nothing to an optimizer.
  .map((list) => Float32Array.from(list, (x) => (Math.abs(x) < 2 ** -100 ? 0 : x)));

it("gives the nearest level of each block's largest magnitude", () => {
  fc.assert(
    fc.property(numbers, fc.boolean(), (given, signed) => {
      const levels = dynamicLevels(signed);
      const back = there(given, signed);
      for (const [i, x] of given.entries()) {
        const first = i - (i % blockSize);
        const peak = given.subarray(first, first + blockSize).reduce((most, each) => Math.max(most, Math.abs(each)), 0);
        const least = levels.reduce((best, level) => Math.min(best, Math.abs(x - level * peak)), Infinity);
        expect(Math.abs(back[i]! - x)).toBeLessThanOrEqual(least + 1e-6 * peak);
      }
    }),
  );
});

it("changes nothing more when it is done again, and keeps the largest magnitude of either sign to a hundredth", () => {
  fc.assert(
    fc.property(numbers, (given) => {
      const once = there(given, true);
      expect(
        there(once, true)
          .map((x, i) => Math.abs(x - once[i]!) / (Math.abs(once[i]!) || 1))
          .every((e) => e < 0.01),
      ).toBe(true);
    }),
  );
});

it("is kept as normal floats, whatever the codes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: blockSize, maxLength: blockSize }), (codes) => {
      const levels = dynamicLevels(true);
      const words = stored(
        Float32Array.from(codes, (code) => levels[code]!),
        true,
      ).subarray(2);
      expect(words.every((word) => Number.isFinite(word) && Math.abs(word) >= 2 ** -126)).toBe(true);
    }),
  );
});

it("does not hide what is no number", () => {
  expect(there(Float32Array.of(1, Number.NaN, 2), true).every((x) => Number.isNaN(x))).toBe(true);
});

it("has 256 rising levels from -0.99 or 0 to 1", () => {
  for (const [signed, least] of [
    [true, -0.99296875],
    [false, 0],
  ] as const) {
    const levels = dynamicLevels(signed);
    expect([levels.length, levels[255], levels[0]]).toEqual([256, 1, Math.fround(least)]);
    expect(levels.every((level, i) => i === 0 || level > levels[i - 1]!)).toBe(true);
  }
});

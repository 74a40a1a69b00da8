// What holds for any values: bounded errors, stable round trips, typed errors for bad ones.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StorageFormat } from "../format.ts";
import { formatByName, formats } from "./index.ts";

const writable = formats.filter((format) => format.encode !== undefined);

function encode(format: StorageFormat, values: Float32Array): Uint8Array {
  const bytes = new Uint8Array((values.length / format.blockSize) * format.blockBytes);
  format.encode!(values, bytes);
  return bytes;
}

function stored(format: StorageFormat, values: Float32Array): Float32Array {
  const result = new Float32Array(values.length);
  format.decode(encode(format, values), result);
  return result;
}

/** The worst error of a value, as a fraction of the largest magnitude in its 256. */
const bounds: Readonly<Record<string, number>> = {
  F32: 0,
  F16: 2 ** -11,
  BF16: 2 ** -8,
  Q8_0: 0.0045,
  Q5_0: 0.063,
  Q5_1: 0.034,
  Q4_0: 0.126,
  Q4_1: 0.068,
  TQ1_0: 0.501,
  TQ2_0: 0.501,
  Q6_K: 0.05,
  Q5_K: 0.08,
  Q4_K: 0.15,
  Q3_K: 0.4,
  Q2_K: 0.65,
  IQ4_NL: 0.15,
  IQ4_XS: 0.2,
  MXFP4: 0.26,
  NF4: 0.153,
};

/** 256 values of one magnitude or another, spread out or all alike, some of them zero. */
const block = fc
  .record({
    numbers: fc.array(fc.integer({ min: -100, max: 100 }), { minLength: 1, maxLength: 256 }),
    scale: fc.constantFrom(0.001, 0.37, 1, 12),
    offset: fc.constantFrom(0, 0, 0, 50, -200),
  })
  .map(({ numbers, scale, offset }) => Float32Array.from({ length: 256 }, (_, i) => (numbers[(i * 7) % numbers.length]! + offset) * scale));

describe.each(writable)("$name", (format) => {
  test("keeps every value within its bound", () => {
    fc.assert(
      fc.property(block, (values) => {
        const largest = Math.max(...values.map(Math.abs));
        const result = stored(format, values);
        const worst = Math.max(...values.map((value, i) => Math.abs(value - result[i]!)));
        expect(worst).toBeLessThanOrEqual(bounds[format.name]! * largest);
      }),
    );
  });

  test("blocks do not see their neighbours", () => {
    fc.assert(
      fc.property(block, block, (first, second) => {
        const both = encode(format, Float32Array.from([...first, ...second]));
        expect(both).toEqual(Uint8Array.from([...encode(format, first), ...encode(format, second)]));
      }),
      { numRuns: 20 },
    );
  });

  test("values that are not finite are errors that name the first", () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const values = new Float32Array(512).fill(1);
      values[300] = bad;
      expect(() => encode(format, values)).toThrow(
        expect.objectContaining({
          code: "FRUGAL_NUMERIC",
          message: expect.stringMatching(new RegExp(`^${format.name}: value 300 is `)),
          fields: { index: 300, value: bad },
        }),
      );
    }
  });
});

test.each(["F32", "F16", "BF16", "Q8_0", "Q5_0", "Q5_1", "Q4_0", "Q4_1", "TQ1_0", "TQ2_0"])(
  "%s: what was decoded encodes to the same bytes",
  (name) => {
    const format = formatByName(name);
    fc.assert(
      fc.property(block, (values) => {
        const once = stored(format, values);
        if (once.some((value) => value !== 0)) expect(encode(format, once)).toEqual(encode(format, values));
      }),
    );
  },
);

test.each(formats)("$name: lengths that do not fit are errors", (format) => {
  const lengths: [number, number][] = [
    [format.blockSize, format.blockBytes + 1],
    [format.blockSize, 0],
    [2 * format.blockSize, format.blockBytes],
    ...(format.blockSize > 1 ? [[format.blockSize - 1, format.blockBytes] as [number, number]] : []),
  ];
  const wrong = expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringContaining(format.name) });
  for (const [values, bytes] of lengths) {
    expect(() => format.decode(new Uint8Array(bytes), new Float32Array(values))).toThrow(wrong);
    if (format.encode) expect(() => format.encode!(new Float32Array(values), new Uint8Array(bytes))).toThrow(wrong);
  }
  format.decode(new Uint8Array(0), new Float32Array(0));
});

test.each(["F16", "Q8_0", "Q4_0", "Q4_1", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q6_K", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0"])(
  "%s: values past what half-precision scales reach are errors, not infinities",
  (name) => {
    const values = new Float32Array(256).fill(1e30);
    expect(() => encode(formatByName(name), values)).toThrow(expect.objectContaining({ code: "FRUGAL_NUMERIC" }));
  },
);

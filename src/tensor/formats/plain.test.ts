// Formats that store each number by itself.
import { expect, test } from "vitest";
import { formatByName } from "./index.ts";

function decoded(name: string, bytes: Uint8Array): number[] {
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  const values = new Float32Array(bytes.length / formatByName(name).blockBytes);
  formatByName(name).decode(shifted.subarray(1), values);
  return [...values];
}

test.each([
  ["I8", Int8Array.of(-128, 127), [-128, 127]],
  ["U8", Uint8Array.of(0, 255), [0, 255]],
  ["I16", Int16Array.of(-32768, 32767), [-32768, 32767]],
  ["U16", Uint16Array.of(0, 65535), [0, 65535]],
  ["I32", Int32Array.of(-(2 ** 31), 16777217), [-(2 ** 31), 16777216]],
  ["U32", Uint32Array.of(7, 2 ** 32 - 1), [7, 2 ** 32]],
  ["I64", BigInt64Array.of(-3n, 2n ** 40n), [-3, 2 ** 40]],
  ["U64", BigUint64Array.of(3n, 2n ** 63n), [3, 2 ** 63]],
  ["F64", Float64Array.of(-0.1, 1e300), [Math.fround(-0.1), Infinity]],
  ["F32", Float32Array.of(-0.1, NaN, 2 ** -149), [Math.fround(-0.1), NaN, 2 ** -149]],
  ["BOOL", Uint8Array.of(0, 1, 2), [0, 1, 1]],
] as const)("%s is read as floats, wherever it lies", (name, array, expected) => {
  expect(decoded(name, new Uint8Array(array.buffer))).toEqual(expected);
});

test("F32 is written as it is", () => {
  const values = Float32Array.of(1, -0, 3e38, 2 ** -149);
  const bytes = new Uint8Array(17);
  formatByName("F32").encode!(values, bytes.subarray(1));
  expect(bytes.slice(1)).toEqual(new Uint8Array(values.buffer));
});

test("a finite number that BF16 would round to infinity is an error", () => {
  expect(() => formatByName("BF16").encode!(Float32Array.of(1, 3.4e38), new Uint8Array(4))).toThrow(
    expect.objectContaining({ code: "FRUGAL_NUMERIC", message: expect.stringMatching(/BF16: value 1 is 3\.39/) }),
  );
});

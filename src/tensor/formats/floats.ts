/** Formats that store each number by itself, as a float. Typed arrays are little endian wherever JavaScript runs, and so are the files. */
import { FrugalError } from "../error.ts";
import type { StorageFormat } from "../format.ts";
import { checkFinite, checkLengths } from "./blocks.ts";
import { halfBits, halfValue } from "./half.ts";

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
const wordsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

export const F32: StorageFormat = {
  name: "F32",
  ggufType: 0,
  safetensorsType: "F32",
  blockSize: 1,
  blockBytes: 4,
  decode(bytes, values) {
    checkLengths(F32, values, bytes);
    bytesOf(values).set(bytes);
  },
  encode(values, bytes) {
    checkLengths(F32, values, bytes);
    checkFinite("F32", values);
    bytes.set(bytesOf(values));
  },
};

export const F16: StorageFormat = {
  name: "F16",
  ggufType: 1,
  safetensorsType: "F16",
  blockSize: 1,
  blockBytes: 2,
  decode(bytes, values) {
    checkLengths(F16, values, bytes);
    for (let i = 0; i < values.length; i++) values[i] = halfValue(bytes[2 * i]! | (bytes[2 * i + 1]! << 8));
  },
  encode(values, bytes) {
    checkLengths(F16, values, bytes);
    checkFinite("F16", values);
    for (let i = 0; i < values.length; i++) {
      const bits = halfBits(values[i]!);
      bytes[2 * i] = bits;
      bytes[2 * i + 1] = bits >> 8;
    }
  },
};

/** The upper half of an F32. */
export const BF16: StorageFormat = {
  name: "BF16",
  ggufType: 30,
  safetensorsType: "BF16",
  blockSize: 1,
  blockBytes: 2,
  decode(bytes, values) {
    checkLengths(BF16, values, bytes);
    const words = wordsOf(values);
    for (let i = 0; i < words.length; i++) words[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
  },
  encode(values, bytes) {
    checkLengths(BF16, values, bytes);
    checkFinite("BF16", values);
    const words = wordsOf(values);
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      const bits = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
      if ((bits & 0x7fff) === 0x7f80) throw pastBF16(i, values[i]!);
      bytes[2 * i] = bits;
      bytes[2 * i + 1] = bits >> 8;
    }
  },
};

const pastBF16 = (index: number, value: number): FrugalError =>
  new FrugalError("FRUGAL_NUMERIC", `BF16: value ${index} is ${value} and rounds to infinity; store these values as F32`, { index, value });

/** Double precision is rounded on reading; nothing in a model needs it written. */
export const F64: StorageFormat = {
  name: "F64",
  ggufType: 28,
  safetensorsType: "F64",
  blockSize: 1,
  blockBytes: 8,
  decode(bytes, values) {
    checkLengths(F64, values, bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < values.length; i++) values[i] = view.getFloat64(8 * i, true);
  },
};

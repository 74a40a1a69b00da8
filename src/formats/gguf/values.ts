/** The kinds of values in GGUF metadata: their numbers in the file, and which kind a key is written as when nobody says. */
import { FrugalError } from "../../tensor/error.ts";
import type { MetadataValue, StringTable } from "../../tensor/strings.ts";

export type GgufValueType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "bool" | "string" | "array" | "u64" | "i64" | "f64";

/** In the order of their numbers in files. */
export const valueTypes: readonly GgufValueType[] = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
];

type NumberType = Exclude<GgufValueType, "bool" | "string" | "array">;

export type NumberArray = Exclude<Extract<MetadataValue, ArrayBufferView>, never>;

/** Bytes of a number of each kind and the array that holds many. */
export const numberTypes: Readonly<
  Record<NumberType, { readonly bytes: number; readonly over: (bytes: Uint8Array<ArrayBuffer>) => NumberArray }>
> = {
  u8: { bytes: 1, over: (bytes) => bytes },
  i8: { bytes: 1, over: (bytes) => new Int8Array(bytes.buffer) },
  u16: { bytes: 2, over: (bytes) => new Uint16Array(bytes.buffer) },
  i16: { bytes: 2, over: (bytes) => new Int16Array(bytes.buffer) },
  u32: { bytes: 4, over: (bytes) => new Uint32Array(bytes.buffer) },
  i32: { bytes: 4, over: (bytes) => new Int32Array(bytes.buffer) },
  f32: { bytes: 4, over: (bytes) => new Float32Array(bytes.buffer) },
  u64: { bytes: 8, over: (bytes) => new BigUint64Array(bytes.buffer) },
  i64: { bytes: 8, over: (bytes) => new BigInt64Array(bytes.buffer) },
  f64: { bytes: 8, over: (bytes) => new Float64Array(bytes.buffer) },
};

export const isStringTable = (value: MetadataValue): value is StringTable =>
  typeof value === "object" && !ArrayBuffer.isView(value) && !Array.isArray(value);

/** The kind of a typed array's elements. */
export function elementType(array: NumberArray): NumberType {
  if (array instanceof Uint8Array) return "u8";
  if (array instanceof Int8Array) return "i8";
  if (array instanceof Uint16Array) return "u16";
  if (array instanceof Int16Array) return "i16";
  if (array instanceof Uint32Array) return "u32";
  if (array instanceof Int32Array) return "i32";
  if (array instanceof Float32Array) return "f32";
  if (array instanceof Float64Array) return "f64";
  return array instanceof BigUint64Array ? "u64" : "i64";
}

/**
 * Readers refuse a key of another kind than they expect, and a JavaScript 10000 does not say whether it is a whole number:
 * keys that end like this are always f32, as the format's list of standard keys has them.
 */
const floatKey =
  /(?:epsilon|freq_base|freq_base_swa|scaling\.(?:factor|alpha|attn_factor|yarn_\w+)|scale|scale_linear|clamp_kqv|max_alibi_bias|softcapping|router_gain|image_mean|image_std|temp|top_p|min_p|penalty_repeat)$/;
/** Counts of a split file are 16 bits wide. */
const shortKey = /^split\.(?:no|count)$/;

/** How `key` is written: as told, else as the standard keys have it, else the narrowest of u32, i32, u64, i64 and f32 that holds it. */
export function scalarType(key: string, value: MetadataValue, told: GgufValueType | undefined): GgufValueType {
  if (told !== undefined) return told;
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "string";
  if (typeof value === "bigint") return value < 0n ? "i64" : "u64";
  if (typeof value !== "number") return "array";
  if (floatKey.test(key) || !Number.isInteger(value)) return "f32";
  if (shortKey.test(key)) return "u16";
  if (key === "split.tensors.count") return "i32";
  if (!Number.isSafeInteger(value))
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `gguf: ${key} is ${value}, above 2^53 where numbers lose digits; pass a bigint or name its type`,
      { key },
    );
  if (value < 0) return value >= -(2 ** 31) ? "i32" : "i64";
  return value < 2 ** 32 ? "u32" : "u64";
}

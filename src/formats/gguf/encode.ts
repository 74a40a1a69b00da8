/** Metadata to bytes: the inverse of `metadata.ts`. */
import { FrugalError } from "../../tensor/error.ts";
import type { Metadata, MetadataValue, StringTable } from "../../tensor/strings.ts";
import { elementType, type GgufValueType, isStringTable, numberTypes, scalarType, valueTypes } from "./values.ts";

/** Bytes that are appended to. */
export interface GrowingBytes {
  length(): number;
  u8(value: number): void;
  u32(value: number): void;
  u64(value: number): void;
  bytes(value: Uint8Array): void;
  zeros(count: number): void;
  /** Room for `count` bytes at the end, to be written through the view from the offset. */
  room(count: number): { readonly view: DataView; readonly offset: number };
  done(): Uint8Array;
}

export function growingBytes(): GrowingBytes {
  let bytes = new Uint8Array(1 << 16);
  let view = new DataView(bytes.buffer);
  let length = 0;
  const room = (count: number): { view: DataView; offset: number } => {
    if (length + count > bytes.length) {
      const larger = new Uint8Array(Math.max(2 * bytes.length, length + count));
      larger.set(bytes.subarray(0, length));
      bytes = larger;
      view = new DataView(bytes.buffer);
    }
    const offset = length;
    length += count;
    return { view, offset };
  };
  const append = (value: Uint8Array): void => {
    const { offset } = room(value.length);
    bytes.set(value, offset);
  };
  const u32 = (value: number): void => {
    const at = room(4);
    at.view.setUint32(at.offset, value, true);
  };
  return {
    length: () => length,
    u8: (value) => append(Uint8Array.of(value)),
    u32,
    u64(value) {
      u32(value >>> 0);
      u32(Math.floor(value / 2 ** 32));
    },
    bytes: append,
    zeros: (count) => void room(count),
    room,
    done: () => bytes.subarray(0, length),
  };
}

const encoder = new TextEncoder();

export function putString(out: GrowingBytes, text: string): void {
  const bytes = encoder.encode(text);
  out.u64(bytes.length);
  out.bytes(bytes);
}

export function putMetadata(out: GrowingBytes, metadata: Metadata, types: ReadonlyMap<string, GgufValueType>): void {
  for (const [key, value] of metadata) {
    if (key === "") throw new FrugalError("FRUGAL_BAD_ARGUMENT", "gguf: a metadata key is empty; name it", {});
    putString(out, key);
    const type = scalarType(key, value, types.get(key));
    out.u32(valueTypes.indexOf(type));
    putValue(out, key, type, value);
  }
}

function putValue(out: GrowingBytes, key: string, type: GgufValueType, value: MetadataValue): void {
  if (type === "array" && typeof value === "object") return putArray(out, key, value);
  if (type === "string" && typeof value === "string") return putString(out, value);
  if (type === "bool" && typeof value === "boolean") return out.u8(value ? 1 : 0);
  if (type !== "array" && type !== "string" && type !== "bool" && (typeof value === "number" || typeof value === "bigint"))
    return putNumber(out, key, type, value);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `gguf: metadata ${key} is a ${typeof value} and cannot be stored as ${type}; name another type`,
    { key, type },
  );
}

function putNumber(
  out: GrowingBytes,
  key: string,
  type: Exclude<GgufValueType, "array" | "string" | "bool">,
  value: number | bigint,
): void {
  const { bytes, over } = numberTypes[type];
  const cell = new Uint8Array(bytes);
  const array = over(cell);
  if (array instanceof BigUint64Array || array instanceof BigInt64Array) array[0] = BigInt(value);
  else array[0] = Number(value);
  const isFloat = type === "f32" || type === "f64";
  if (!isFloat && array[0] != value)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `gguf: metadata ${key} is ${value}, out of range for ${type}; name a wider type`, {
      key,
      type,
    });
  out.bytes(cell);
}

function putArray(out: GrowingBytes, key: string, value: Extract<MetadataValue, object>): void {
  const head = (type: GgufValueType, count: number): void => {
    out.u32(valueTypes.indexOf(type));
    out.u64(count);
  };
  if (ArrayBuffer.isView(value)) {
    head(elementType(value), value.length);
    out.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  } else if (isStringTable(value)) {
    head("string", value.length);
    putStrings(out, value);
  } else if (value.every((element) => typeof element === "boolean")) {
    head("bool", value.length);
    for (const element of value) out.u8(element ? 1 : 0);
  } else {
    putList(out, key, value, head);
  }
}

/** A plain array: of arrays, or of strings or numbers that somebody did not pack. */
function putList(
  out: GrowingBytes,
  key: string,
  value: readonly MetadataValue[],
  head: (type: GgufValueType, count: number) => void,
): void {
  const types = new Set(value.map((element) => scalarType(key, element, undefined)));
  const [type] = types;
  if (type === undefined || types.size > 1)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `gguf: metadata ${key} mixes ${[...types].join(", ")} in one array; use a typed array or a StringTable`,
      { key },
    );
  head(type, value.length);
  for (const element of value) {
    if (type === "array" && typeof element === "object") putArray(out, key, element);
    else putValue(out, key, type, element);
  }
}

function putStrings(out: GrowingBytes, table: StringTable): void {
  const { bytes, offsets, length } = table;
  const total = offsets[length]! - offsets[0]!;
  const { view, offset } = out.room(total + 8 * length);
  const target = new Uint8Array(view.buffer);
  let at = offset;
  for (let i = 0; i < length; i++) {
    const start = offsets[i]!;
    const end = offsets[i + 1]!;
    view.setUint32(at, end - start, true);
    target.set(bytes.subarray(start, end), at + 8);
    at += 8 + end - start;
  }
}

/** The key and value section of a GGUF header. */
import { FrugalError } from "../../tensor/error.ts";
import type { MetadataValue } from "../../tensor/strings.ts";
import { takeStrings } from "./strings.ts";
import { type GgufValueType, numberTypes, valueTypes } from "./values.ts";
import { badHeader, checkFits, need, type Parse, placeOf, takeLength, takeString, takeU32, type Window } from "./window.ts";

const KEY_LIMIT = 65535;
const NESTING_LIMIT = 4;
/** Key length, one byte of key, type, one byte of value. */
const SMALLEST_ENTRY = 8 + 1 + 4 + 1;

export interface ParsedMetadata {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** How each key was stored, so that it can be written as it was. */
  readonly types: ReadonlyMap<string, GgufValueType>;
}

export function* takeMetadata(window: Window, count: number): Parse<ParsedMetadata> {
  checkFits(window, count * SMALLEST_ENTRY, `metadata with ${count} keys`);
  const metadata = new Map<string, MetadataValue>();
  const types = new Map<string, GgufValueType>();
  for (let i = 0; i < count; i++) {
    const at = placeOf(window);
    const key = yield* takeString(window, `metadata key ${i}`, KEY_LIMIT);
    if (key === "") throw badHeader(window, at, `metadata key ${i} is empty`);
    if (metadata.has(key)) throw badHeader(window, at, `metadata key ${key} is there twice`);
    const type = yield* takeType(window, key);
    types.set(key, type);
    metadata.set(key, yield* takeValue(window, key, type, 0));
  }
  return { metadata, types };
}

function* takeType(window: Window, key: string): Parse<GgufValueType> {
  yield* need(window, 4, `the type of ${key}`);
  const at = placeOf(window);
  const number = takeU32(window);
  const type = valueTypes[number];
  if (type !== undefined) return type;
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${window.name}: at byte ${at}, metadata ${key} has the unknown value type ${number} (known are 0 to ${valueTypes.length - 1}); the file is corrupt or newer than this program`,
    { offset: at, key, type: number },
  );
}

function* takeValue(window: Window, key: string, type: GgufValueType, depth: number): Parse<MetadataValue> {
  if (type === "string") return yield* takeString(window, `metadata ${key}`);
  if (type === "array") return yield* takeArray(window, key, depth);
  const bytes = type === "bool" ? 1 : numberTypes[type].bytes;
  yield* need(window, bytes, `metadata ${key}`);
  const at = window.position;
  window.position += bytes;
  return takeScalar(window, key, type, at);
}

function takeScalar(window: Window, key: string, type: Exclude<GgufValueType, "string" | "array">, at: number): MetadataValue {
  const { view } = window;
  switch (type) {
    case "u8":
      return view.getUint8(at);
    case "i8":
      return view.getInt8(at);
    case "u16":
      return view.getUint16(at, true);
    case "i16":
      return view.getInt16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "i32":
      return view.getInt32(at, true);
    case "f32":
      return view.getFloat32(at, true);
    case "f64":
      return view.getFloat64(at, true);
    case "u64":
      return exactly(view.getBigUint64(at, true));
    case "i64":
      return exactly(view.getBigInt64(at, true));
    case "bool":
      return toBoolean(window, key, at);
  }
}

/** A number where it is exact, a bigint beyond 2^53. */
const exactly = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

function toBoolean(window: Window, key: string, at: number): boolean {
  const byte = window.bytes[at]!;
  if (byte > 1) throw badHeader(window, window.start + at, `metadata ${key} is a boolean with value ${byte}`);
  return byte === 1;
}

function* takeArray(window: Window, key: string, depth: number): Parse<MetadataValue> {
  if (depth >= NESTING_LIMIT) throw badHeader(window, placeOf(window), `metadata ${key} nests arrays more than ${NESTING_LIMIT} deep`);
  const type = yield* takeType(window, key);
  yield* need(window, 8, `the length of ${key}`);
  const count = takeLength(window, `the length of ${key}`);
  if (type === "string") return yield* takeStrings(window, count, `metadata ${key}`);
  if (type === "array") return yield* takeNested(window, key, count, depth);
  const bytes = count * (type === "bool" ? 1 : numberTypes[type].bytes);
  checkFits(window, bytes, `metadata ${key} with ${count} elements`);
  yield* need(window, bytes, `metadata ${key}`);
  const at = window.position;
  window.position += bytes;
  if (type === "bool") return Array.from({ length: count }, (_, i) => toBoolean(window, key, at + i));
  return numberTypes[type].over(window.bytes.slice(at, at + bytes));
}

function* takeNested(window: Window, key: string, count: number, depth: number): Parse<MetadataValue> {
  checkFits(window, count * 12, `metadata ${key} with ${count} arrays`);
  const values: MetadataValue[] = [];
  for (let i = 0; i < count; i++) values.push(yield* takeArray(window, key, depth + 1));
  return values;
}

/** Typed reading of a model file's metadata. */
import { FrugalError } from "../tensor/error.ts";
import type { Metadata, MetadataValue, StringTable } from "../tensor/strings.ts";

const wrong = (key: string, expected: string, value: MetadataValue | undefined): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_FILE",
    `tokenizer: ${key} is ${value === undefined ? "missing" : `not ${expected}`}; the file is incomplete, convert the model again`,
    { key },
  );

export function textOf(metadata: Metadata, key: string): string | undefined {
  const value = metadata.get(key);
  if (value !== undefined && typeof value !== "string") throw wrong(key, "a string", value);
  return value;
}

export function booleanOf(metadata: Metadata, key: string): boolean | undefined {
  const value = metadata.get(key);
  if (value !== undefined && typeof value !== "boolean") throw wrong(key, "a boolean", value);
  return value;
}

/** A token id, which must lie inside the vocabulary of `size`. */
export function idOf(metadata: Metadata, key: string, size: number): number | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value)) throw wrong(key, "a whole number", value);
  if (value === 0xffffffff || value === -1) return undefined; // "none", as converters write it
  if (value < 0 || value >= size)
    throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer: ${key} is ${value}, outside the vocabulary of ${size}; convert the model again`, {
      key,
      value,
      size,
    });
  return value;
}

const isTable = (value: MetadataValue): value is StringTable => typeof value === "object" && "offsets" in value && "bytes" in value;

export function stringsOf(metadata: Metadata, key: string): StringTable | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  // An empty array has no type of its own.
  if (Array.isArray(value) && value.length === 0) return { length: 0, bytes: new Uint8Array(0), offsets: new Uint32Array(1) };
  if (!isTable(value)) throw wrong(key, "an array of strings", value);
  return value;
}

export function requiredStrings(metadata: Metadata, key: string): StringTable {
  const value = stringsOf(metadata, key);
  if (value === undefined) throw wrong(key, "an array of strings", undefined);
  return value;
}

/** An array of at least `length` numbers. */
export function numbersOf(metadata: Metadata, key: string, length: number): ArrayLike<number> | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  const numbers =
    value instanceof Float32Array || value instanceof Float64Array || value instanceof Int32Array || value instanceof Uint32Array
      ? value
      : value instanceof Int8Array || value instanceof Uint8Array || value instanceof Int16Array || value instanceof Uint16Array
        ? value
        : undefined;
  if (numbers === undefined) throw wrong(key, "an array of numbers", value);
  if (numbers.length < length)
    throw new FrugalError(
      "FRUGAL_BAD_FILE",
      `tokenizer: ${key} has ${numbers.length} entries for ${length} pieces; convert the model again`,
      {
        key,
        entries: numbers.length,
        pieces: length,
      },
    );
  return numbers;
}

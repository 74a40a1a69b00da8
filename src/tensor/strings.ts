/** Many strings in one byte buffer: a vocabulary of 262,144 pieces costs its UTF-8 bytes and 4 bytes an entry, not a JS object each. */

export interface StringTable {
  readonly length: number;
  /** UTF-8 of all strings, one after the other. */
  readonly bytes: Uint8Array;
  /** `length + 1` offsets into `bytes`. */
  readonly offsets: Uint32Array;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** String `i`; bytes that are not UTF-8 become U+FFFD. */
export const stringAt = (table: StringTable, i: number): string => decoder.decode(stringBytes(table, i));

/** The UTF-8 bytes of string `i`, as a view. */
export const stringBytes = (table: StringTable, i: number): Uint8Array => table.bytes.subarray(table.offsets[i]!, table.offsets[i + 1]!);

/** Packs strings into a table. */
export function stringTable(strings: readonly string[]): StringTable {
  const encoder = new TextEncoder();
  const parts = strings.map((s) => encoder.encode(s));
  const offsets = new Uint32Array(parts.length + 1);
  parts.forEach((part, i) => (offsets[i + 1] = offsets[i]! + part.length));
  const bytes = new Uint8Array(offsets[parts.length]!);
  parts.forEach((part, i) => bytes.set(part, offsets[i]!));
  return { length: parts.length, bytes, offsets };
}

/** A value of a model file's metadata (GGUF): numbers above 2^53 stay bigint; arrays of strings are packed. */
export type MetadataValue =
  | number
  | bigint
  | boolean
  | string
  | StringTable
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly boolean[]
  | readonly MetadataValue[];

export type Metadata = ReadonlyMap<string, MetadataValue>;

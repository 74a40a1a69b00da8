/** Integers in files: masks, position ids, counters. Read as floats, so above 2^24 the nearest F32; never written. */
import type { StorageFormat } from "../format.ts";
import { checkLengths } from "./blocks.ts";

type ReadInteger = (view: DataView, at: number) => number;

function integerFormat(name: string, blockBytes: number, read: ReadInteger, ggufType?: number): StorageFormat {
  const format: StorageFormat = {
    name,
    ...(ggufType === undefined ? {} : { ggufType }),
    safetensorsType: name,
    blockSize: 1,
    blockBytes,
    decode(bytes, values) {
      checkLengths(format, values, bytes);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (let i = 0; i < values.length; i++) values[i] = read(view, i * blockBytes);
    },
  };
  return format;
}

export const I8: StorageFormat = integerFormat("I8", 1, (view, at) => view.getInt8(at), 24);
export const I16: StorageFormat = integerFormat("I16", 2, (view, at) => view.getInt16(at, true), 25);
export const I32: StorageFormat = integerFormat("I32", 4, (view, at) => view.getInt32(at, true), 26);
export const I64: StorageFormat = integerFormat("I64", 8, (view, at) => Number(view.getBigInt64(at, true)), 27);
export const U8: StorageFormat = integerFormat("U8", 1, (view, at) => view.getUint8(at));
export const U16: StorageFormat = integerFormat("U16", 2, (view, at) => view.getUint16(at, true));
export const U32: StorageFormat = integerFormat("U32", 4, (view, at) => view.getUint32(at, true));
export const U64: StorageFormat = integerFormat("U64", 8, (view, at) => Number(view.getBigUint64(at, true)));
export const BOOL: StorageFormat = integerFormat("BOOL", 1, (view, at) => (view.getUint8(at) === 0 ? 0 : 1));

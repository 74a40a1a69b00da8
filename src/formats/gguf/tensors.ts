/** The tensor directory of a GGUF header, checked against the file before anybody reads a byte of data. */
import { FrugalError } from "../../tensor/error.ts";
import { formatByGgufType } from "../../tensor/formats/index.ts";
import { storedBytes, type StorageFormat } from "../../tensor/format.ts";
import { size } from "../../tensor/shape.ts";
import type { ByteSource } from "../../tensor/source.ts";
import type { StoredTensor } from "../../tensor/stored.ts";
import { badHeader, checkFits, need, type Parse, placeOf, takeLength, takeString, takeU32, type Window } from "./window.ts";

/** llama.cpp reads names of up to 63 bytes and 4 dimensions; other writers go a little further. */
const NAME_LIMIT = 1024;
const DIMENSION_LIMIT = 8;
/** Name length, dimension count, type, offset. */
const SMALLEST_ENTRY = 8 + 4 + 4 + 8;

/** A tensor as the directory has it; its offset counts from the start of the data section. */
export interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly format: StorageFormat;
  readonly offset: number;
  readonly byteLength: number;
  /** Where the entry stands in the header, for messages. */
  readonly at: number;
}

export function* takeTensors(window: Window, count: number): Parse<readonly TensorEntry[]> {
  checkFits(window, count * SMALLEST_ENTRY, `a directory of ${count} tensors`);
  const entries: TensorEntry[] = [];
  const names = new Set<string>();
  const formats = new Map<number, StorageFormat>();
  for (let i = 0; i < count; i++) {
    const at = placeOf(window);
    const name = yield* takeString(window, `the name of tensor ${i}`, NAME_LIMIT);
    if (names.has(name)) throw badHeader(window, at, `tensor ${name} is there twice`);
    names.add(name);
    entries.push(yield* takeEntry(window, name, at, formats));
  }
  return entries;
}

function* takeEntry(window: Window, name: string, at: number, formats: Map<number, StorageFormat>): Parse<TensorEntry> {
  yield* need(window, 4, `tensor ${name}`);
  const dimensions = takeU32(window);
  if (dimensions > DIMENSION_LIMIT)
    throw badHeader(window, at, `tensor ${name} has ${dimensions} dimensions, more than ${DIMENSION_LIMIT}`);
  yield* need(window, dimensions * 8 + 12, `tensor ${name}`);
  // The file counts the innermost dimension first.
  const shape = Array.from({ length: dimensions }, () => takeLength(window, `a dimension of tensor ${name}`)).reverse();
  const type = takeU32(window);
  const format = formats.get(type) ?? formatOf(window, name, type);
  formats.set(type, format);
  const offset = takeLength(window, `the offset of tensor ${name}`);
  const described = `tensor ${name} [${shape.join(", ")}] as ${format.name}`;
  const elements = size(shape);
  if (size(shape.map((dim) => Math.max(dim, 1))) > Number.MAX_SAFE_INTEGER)
    throw badHeader(window, at, `${described} has more elements than any file holds`);
  const row = shape.at(-1) ?? 1;
  if (row % format.blockSize !== 0)
    throw badHeader(window, at, `${described} has rows of ${row} values, not whole blocks of ${format.blockSize}`);
  return { name, shape, format, offset, byteLength: storedBytes(format, elements), at };
}

function formatOf(window: Window, name: string, type: number): StorageFormat {
  try {
    return formatByGgufType(type);
  } catch (error) {
    if (!(error instanceof FrugalError)) throw error;
    throw new FrugalError(
      error.code,
      `${window.name}: at byte ${placeOf(window) - 4}, tensor ${name} is stored in a format Frugal cannot read (${error.message}); use a file quantised otherwise`,
      { ...error.fields, tensor: name, type, offset: placeOf(window) - 4 },
      { cause: error },
    );
  }
}

/** Entries as stored tensors of `source`; refuses data that is misaligned, overlaps, or lies outside the file. */
export function placeTensors(
  source: ByteSource,
  entries: readonly TensorEntry[],
  dataOffset: number,
  alignment: number,
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape, format, offset, byteLength, at } of entries) {
    if (offset % alignment !== 0)
      throw badHeader(source, at, `tensor ${name} has its data at offset ${offset}, not a multiple of the alignment ${alignment}`);
    const start = dataOffset + offset;
    if (start + byteLength > source.byteLength)
      throw badHeader(
        source,
        at,
        `tensor ${name} (${format.name}, [${shape.join(", ")}]) has its data at bytes ${start} to ${start + byteLength}, but the file has ${source.byteLength}`,
        "it is truncated, fetch it again",
      );
    tensors.set(name, { name, shape, format, source, offset: start, byteLength });
  }
  const ordered = entries.filter((entry) => entry.byteLength > 0).sort((a, b) => a.offset - b.offset);
  ordered.forEach((entry, i) => {
    const previous = ordered[i - 1];
    if (previous !== undefined && previous.offset + previous.byteLength > entry.offset)
      throw badHeader(source, entry.at, `the data of tensor ${entry.name} overlaps that of tensor ${previous.name}`);
  });
  return tensors;
}

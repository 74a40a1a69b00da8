/**
 * Safetensors files: a JSON header that says where each tensor lies, then the bytes, without holes.
 * Format: https://github.com/huggingface/safetensors (README, "Format")
 */
import { FrugalError } from "../tensor/error.ts";
import { storedBytes, type StorageFormat } from "../tensor/format.ts";
import { formatBySafetensorsType } from "../tensor/formats/index.ts";
import { size } from "../tensor/shape.ts";
import type { ByteSource } from "../tensor/source.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { isJsonObject, parseJsonObject } from "./json.ts";

export interface SafetensorsFile {
  /** The header's `__metadata__`: strings by name. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  close(): Promise<void>;
}

/** As the reference implementation limits it. */
const HEADER_LIMIT = 100_000_000;
const LENGTH_BYTES = 8;
const DIMENSION_LIMIT = 64;
export const METADATA_KEY = "__metadata__";

/** Reads the header of one file. Rejects with FRUGAL_BAD_FILE, FRUGAL_UNSUPPORTED or the signal's reason. Closing the file closes the source. */
export async function readSafetensors(source: ByteSource, options: { readonly signal?: AbortSignal } = {}): Promise<SafetensorsFile> {
  options.signal?.throwIfAborted();
  if (source.byteLength < LENGTH_BYTES)
    throw bad(source, `has ${source.byteLength} bytes, fewer than the 8 of a safetensors file's first field`);
  const first = await source.read(0, LENGTH_BYTES);
  const view = new DataView(first.buffer, first.byteOffset);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > HEADER_LIMIT)
    throw bad(source, `begins with a header length of ${length}, above the ${HEADER_LIMIT} of any safetensors file`);
  if (LENGTH_BYTES + length > source.byteLength) throw bad(source, `has a header of ${length} bytes but ends after ${source.byteLength}`);
  const header = await source.read(LENGTH_BYTES, length);
  options.signal?.throwIfAborted();
  if (header[0] !== 0x7b) throw bad(source, "has a header that does not begin with { ");
  const entries = Object.entries(parseJsonObject(`${source.name} (header)`, header, { uniqueKeys: true }));
  const dataOffset = LENGTH_BYTES + length;
  const tensors = new Map(
    entries.filter(([name]) => name !== METADATA_KEY).map(([name, entry]) => [name, toTensor(source, name, entry, dataOffset)]),
  );
  checkCoverage(source, tensors, dataOffset);
  const metadata = toMetadata(source, entries.find(([name]) => name === METADATA_KEY)?.[1] ?? {});
  return { metadata, tensors, close: () => source.close() };
}

const bad = (source: ByteSource, wrong: string, tensor?: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_FILE", `${source.name}: ${wrong}; the file is corrupt or truncated, fetch it again`, { tensor });

function toMetadata(source: ByteSource, value: unknown): ReadonlyMap<string, string> {
  if (!isJsonObject(value)) throw bad(source, `has ${METADATA_KEY} that is not an object`);
  const entries = Object.entries(value);
  const odd = entries.find(([, text]) => typeof text !== "string");
  if (odd !== undefined) throw bad(source, `has ${METADATA_KEY} ${odd[0]} that is not a string`);
  return new Map(entries as [string, string][]);
}

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n: unknown) => typeof n === "number" && Number.isSafeInteger(n) && n >= 0);

function toTensor(source: ByteSource, name: string, entry: unknown, dataOffset: number): StoredTensor {
  const wrong = (what: string): FrugalError => bad(source, `tensor ${name} ${what}`, name);
  if (typeof entry !== "object" || entry === null) throw wrong("has no entry of dtype, shape and data_offsets");
  const { dtype, shape, data_offsets: offsets, ...rest } = entry as Record<string, unknown>;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) throw wrong(`has the unknown field ${unknown}`);
  if (typeof dtype !== "string") throw wrong("has no dtype");
  if (!isCounts(shape) || shape.length > DIMENSION_LIMIT) throw wrong("has a shape that is not a short list of whole numbers");
  if (!isCounts(offsets) || offsets.length !== 2) throw wrong("has data_offsets that are not two whole numbers");
  const [begin, end] = offsets as [number, number];
  const format = formatOf(source, name, dtype);
  const elements = size(shape);
  const byteLength = storedBytes(format, elements);
  if (!Number.isSafeInteger(byteLength) || byteLength !== end - begin)
    throw wrong(`[${shape.join(", ")}] of ${dtype} takes ${byteLength} bytes, but its data_offsets are ${begin} to ${end}`);
  if (dataOffset + end > source.byteLength)
    throw wrong(`has its data at bytes ${dataOffset + begin} to ${dataOffset + end}, but the file has ${source.byteLength}`);
  return { name, shape, format, source, offset: dataOffset + begin, byteLength };
}

function formatOf(source: ByteSource, name: string, dtype: string): StorageFormat {
  try {
    return formatBySafetensorsType(dtype);
  } catch (error) {
    if (!(error instanceof FrugalError)) throw error;
    throw new FrugalError(
      error.code,
      `${source.name}: tensor ${name}: ${error.message}`,
      { ...error.fields, tensor: name, dtype },
      { cause: error },
    );
  }
}

/** The format allows neither holes nor overlaps nor bytes after the last tensor: nothing can hide in a file. */
function checkCoverage(source: ByteSource, tensors: ReadonlyMap<string, StoredTensor>, dataOffset: number): void {
  let expected = dataOffset;
  for (const { name, offset, byteLength } of [...tensors.values()].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)) {
    if (offset !== expected)
      throw bad(
        source,
        `tensor ${name} begins at byte ${offset}, ${offset < expected ? "inside the one before" : "after a hole"} (expected ${expected})`,
        name,
      );
    expected += byteLength;
  }
  if (expected !== source.byteLength) throw bad(source, `has ${source.byteLength} bytes, but its tensors end at ${expected}`);
}

/**
 * Writer of GGUF files, version 3, little endian, in the layout llama.cpp insists on: data in directory order without gaps
 * beyond the alignment. The header needs only names, shapes and formats, so data streams through, one chunk at a time.
 */
import { FrugalError } from "../../tensor/error.ts";
import type { Metadata } from "../../tensor/strings.ts";
import { createFile } from "../files.ts";
import { type ByteSink, bytesToWrite, completing, type TensorToWrite, type WriteOptions, writeTensorBytes } from "../sink.ts";
import { growingBytes, type GrowingBytes, putMetadata, putString } from "./encode.ts";
import { DEFAULT_ALIGNMENT, MAGIC } from "./read.ts";
import type { GgufValueType } from "./values.ts";

const VERSION = 3;
/** What llama.cpp reads. */
const NAME_LIMIT = 63;
const DIMENSION_LIMIT = 4;

export interface GgufContents {
  readonly metadata: Metadata;
  /** How keys are stored, where it matters: `GgufFile.types` keeps what was read. Keys not named go by the standard's list, then by value. */
  readonly types?: ReadonlyMap<string, GgufValueType>;
  readonly tensors: Iterable<TensorToWrite>;
}

/**
 * Writes a GGUF file to a path (atomically: the old file stays until the new one is whole) or a sink.
 * `general.alignment` in the metadata sets the alignment. Rejects with FRUGAL_NO_SPACE, FRUGAL_SHAPE (rows that are not whole
 * blocks), FRUGAL_BAD_ARGUMENT or the signal's reason.
 */
export async function writeGguf(target: string | ByteSink, contents: GgufContents, options: WriteOptions = {}): Promise<void> {
  const name = typeof target === "string" ? target : target.name;
  const tensors = [...contents.tensors].map((tensor) => ({ ...tensor, byteLength: bytesToWrite(name, tensor) }));
  checkNames(name, tensors);
  const alignment = alignmentFor(name, contents.metadata);
  const header = encodeHeader(contents, tensors, alignment);
  const total = tensors.reduce((n, tensor) => n + tensor.byteLength, 0);
  const sink = typeof target === "string" ? await createFile(target) : target;
  await completing(sink, async () => {
    await sink.write(header);
    let written = 0;
    for (const tensor of tensors) {
      options.signal?.throwIfAborted();
      await writeTensorBytes(sink, tensor, tensor.byteLength, (bytes) => {
        written += bytes;
        options.onProgress?.({ written, total, tensor: tensor.name });
        options.signal?.throwIfAborted();
      });
      const padding = padded(tensor.byteLength, alignment) - tensor.byteLength;
      if (padding > 0) await sink.write(new Uint8Array(padding));
    }
  });
}

const padded = (length: number, alignment: number): number => Math.ceil(length / alignment) * alignment;

function checkNames(file: string, tensors: readonly TensorToWrite[]): void {
  const seen = new Set<string>();
  for (const { name, shape, format } of tensors) {
    const wrong = (what: string): FrugalError =>
      new FrugalError("FRUGAL_BAD_ARGUMENT", `${file}: tensor ${name} ${what}`, { tensor: name });
    const length = new TextEncoder().encode(name).length;
    if (length === 0 || length > NAME_LIMIT) throw wrong(`has a name of ${length} bytes; readers take 1 to ${NAME_LIMIT}`);
    if (seen.has(name)) throw wrong("is there twice; give each its own name");
    if (shape.length > DIMENSION_LIMIT) throw wrong(`has ${shape.length} dimensions; readers take up to ${DIMENSION_LIMIT}, join some`);
    if (format.ggufType === undefined) throw wrong(`is ${format.name}, which GGUF has no number for; convert it first`);
    seen.add(name);
  }
}

function alignmentFor(file: string, metadata: Metadata): number {
  const value = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof value === "number" && Number.isInteger(value) && value >= 8 && value <= 1 << 30 && (value & (value - 1)) === 0) return value;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${file}: general.alignment is ${String(value)}; use a power of two from 8`, {});
}

function encodeHeader(
  contents: GgufContents,
  tensors: readonly (TensorToWrite & { readonly byteLength: number })[],
  alignment: number,
): Uint8Array {
  const out: GrowingBytes = growingBytes();
  out.u32(MAGIC);
  out.u32(VERSION);
  out.u64(tensors.length);
  out.u64(contents.metadata.size);
  putMetadata(out, contents.metadata, contents.types ?? new Map());
  let offset = 0;
  for (const { name, shape, format, byteLength } of tensors) {
    putString(out, name);
    out.u32(shape.length);
    for (const dim of shape.toReversed()) out.u64(dim);
    out.u32(format.ggufType ?? 0);
    out.u64(offset);
    offset += padded(byteLength, alignment);
  }
  out.zeros(padded(out.length(), alignment) - out.length());
  return out.done();
}

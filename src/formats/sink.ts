/** Where bytes go, and what a file of tensors is written from. */
import { FrugalError } from "../tensor/error.ts";
import { storedBytes, type StorageFormat } from "../tensor/format.ts";
import { type Shape, size } from "../tensor/shape.ts";
import type { StoredTensor } from "../tensor/stored.ts";

/** Takes bytes in order. Exactly one of `finish` and `abort` ends it; a sink whose `write` failed needs neither. */
export interface ByteSink {
  /** For messages: a path, a URL. */
  readonly name: string;
  write(bytes: Uint8Array): Promise<void>;
  /** Makes what was written lasting and visible. */
  finish(): Promise<void>;
  /** Forgets what was written. */
  abort(): Promise<void>;
}

/** A sink into memory; `bytes()` joins what was written. */
export function memorySink(name: string): ByteSink & { bytes(): Uint8Array } {
  let parts: Uint8Array[] = [];
  return {
    name,
    async write(bytes) {
      parts.push(bytes.slice());
    },
    async finish() {},
    async abort() {
      parts = [];
    },
    bytes: () => joinBytes(parts),
  };
}

export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** A tensor to be written: its bytes in its format, at once or chunk by chunk, asked for only when their turn comes. */
export interface TensorToWrite {
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: Shape;
  readonly format: StorageFormat;
  readonly bytes: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

export interface WriteOptions {
  readonly signal?: AbortSignal;
  /** After each chunk: bytes of tensor data written and in all, and the tensor they belong to. */
  readonly onProgress?: (progress: { readonly written: number; readonly total: number; readonly tensor: string }) => void;
}

const CHUNK_BYTES = 8 << 20;

/** The bytes of a stored tensor in chunks: what copies a tensor from file to file without holding it. */
export async function* tensorChunks(tensor: StoredTensor): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < tensor.byteLength; done += CHUNK_BYTES)
    yield await tensor.source.read(tensor.offset + done, Math.min(CHUNK_BYTES, tensor.byteLength - done));
}

/** A stored tensor as one to be written, under the same or another name. */
export const copyOf = (tensor: StoredTensor, name: string = tensor.name): TensorToWrite => ({
  name,
  shape: tensor.shape,
  format: tensor.format,
  bytes: tensorChunks(tensor),
});

/** Bytes a tensor takes; refuses rows that are not whole blocks. */
export function bytesToWrite(sink: string, tensor: TensorToWrite): number {
  const { name, shape, format } = tensor;
  const row = shape.at(-1) ?? 1;
  if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0))
    throw new FrugalError("FRUGAL_SHAPE", `${sink}: tensor ${name} has shape [${shape.join(", ")}]; every dimension is a whole number`, {
      tensor: name,
    });
  if (row % format.blockSize !== 0)
    throw new FrugalError(
      "FRUGAL_SHAPE",
      `${sink}: tensor ${name} has rows of ${row} values, not whole blocks of ${format.blockSize} as ${format.name} needs; choose another format for it`,
      { tensor: name, row, blockSize: format.blockSize },
    );
  return storedBytes(format, size(shape));
}

/** Writes one tensor's bytes and checks that they are as many as its shape says. */
export async function writeTensorBytes(
  sink: ByteSink,
  tensor: TensorToWrite,
  expected: number,
  onChunk: (bytes: number) => void,
): Promise<void> {
  const wrong = (got: string): FrugalError =>
    new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${sink.name}: tensor ${tensor.name} needs ${expected} bytes as ${tensor.format.name} but its data has ${got}; pass what its shape says`,
      {
        tensor: tensor.name,
        expected,
      },
    );
  let written = 0;
  for await (const chunk of tensor.bytes instanceof Uint8Array ? [tensor.bytes] : tensor.bytes) {
    written += chunk.length;
    if (written > expected) throw wrong(`at least ${written}`);
    await sink.write(chunk);
    onChunk(chunk.length);
  }
  if (written !== expected) throw wrong(String(written));
}

/** Runs `work`, then finishes the sink; aborts it where `work` fails. */
export async function completing(sink: ByteSink, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await sink.abort();
    throw error;
  }
  await sink.finish();
}

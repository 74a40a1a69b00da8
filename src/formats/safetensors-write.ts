/** Writer of safetensors files: to a path, a sink, or memory. */
import { FrugalError } from "../tensor/error.ts";
import { createFile } from "./files.ts";
import { METADATA_KEY } from "./safetensors.ts";
import {
  type ByteSink,
  bytesToWrite,
  completing,
  joinBytes,
  memorySink,
  type TensorToWrite,
  type WriteOptions,
  writeTensorBytes,
} from "./sink.ts";

/**
 * Writes tensors to a path (atomically) or a sink, wider types first so that each lies aligned, else in the order given.
 * Rejects with FRUGAL_NO_SPACE, FRUGAL_UNSUPPORTED (a format safetensors has no dtype for), FRUGAL_BAD_ARGUMENT or the signal's reason.
 */
export async function writeSafetensors(
  target: string | ByteSink,
  tensors: Iterable<TensorToWrite>,
  metadata: ReadonlyMap<string, string> = new Map(),
  options: WriteOptions = {},
): Promise<void> {
  const name = typeof target === "string" ? target : target.name;
  const ordered = [...tensors]
    .sort((a, b) => b.format.blockBytes - a.format.blockBytes)
    .map((tensor) => ({ tensor, byteLength: bytesToWrite(name, tensor) }));
  const total = ordered.reduce((n, { byteLength }) => n + byteLength, 0);
  const header = encodeHeader(name, ordered, metadata);
  const sink = typeof target === "string" ? await createFile(target) : target;
  await completing(sink, async () => {
    await sink.write(header);
    let written = 0;
    for (const { tensor, byteLength } of ordered) {
      options.signal?.throwIfAborted();
      await writeTensorBytes(sink, tensor, byteLength, (bytes) => {
        written += bytes;
        options.onProgress?.({ written, total, tensor: tensor.name });
        options.signal?.throwIfAborted();
      });
    }
  });
}

/** The bytes of a small safetensors file. */
export async function encodeSafetensors(tensors: Iterable<TensorToWrite>, metadata?: ReadonlyMap<string, string>): Promise<Uint8Array> {
  const sink = memorySink("safetensors");
  await writeSafetensors(sink, tensors, metadata);
  return sink.bytes();
}

function encodeHeader(
  file: string,
  tensors: readonly { tensor: TensorToWrite; byteLength: number }[],
  metadata: ReadonlyMap<string, string>,
): Uint8Array {
  const entries = new Map<string, unknown>();
  if (metadata.size > 0) entries.set(METADATA_KEY, Object.fromEntries(metadata));
  let offset = 0;
  for (const { tensor, byteLength } of tensors) {
    const { name, shape, format } = tensor;
    if (format.safetensorsType === undefined)
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `${file}: tensor ${name} is ${format.name}, which safetensors has no dtype for; decode it first or write GGUF`,
        {
          tensor: name,
          format: format.name,
        },
      );
    if (entries.has(name) || name === METADATA_KEY)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${file}: tensor name ${name} is taken; give each tensor its own`, { tensor: name });
    entries.set(name, { dtype: format.safetensorsType, shape, data_offsets: [offset, offset + byteLength] });
    offset += byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(0, length, true);
  return joinBytes([head, json, new Uint8Array(length - json.length).fill(0x20)]);
}

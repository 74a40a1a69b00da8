/**
 * Reader of GGUF files, versions 2 and 3, little endian: metadata, and where each tensor lies. Tensor data is not read.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { FrugalError } from "../../tensor/error.ts";
import type { ByteSource } from "../../tensor/source.ts";
import type { StoredTensor } from "../../tensor/stored.ts";
import type { Metadata, MetadataValue } from "../../tensor/strings.ts";
import { takeMetadata } from "./metadata.ts";
import { placeTensors, takeTensors, type TensorEntry } from "./tensors.ts";
import type { GgufValueType } from "./values.ts";
import { badHeader, need, type Parse, parseHead, placeOf, takeLength, takeU32, type Window } from "./window.ts";

export interface GgufFile {
  readonly version: number;
  /** Arrays of strings are `StringTable`s, arrays of numbers typed arrays. */
  readonly metadata: Metadata;
  /** How each key of `metadata` was stored. */
  readonly types: ReadonlyMap<string, GgufValueType>;
  /** In the file's order; shapes outermost dimension first. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly alignment: number;
  /** Where the data section begins. */
  readonly dataOffset: number;
  close(): Promise<void>;
}

export const MAGIC = 0x46554747; // "GGUF"
export const DEFAULT_ALIGNMENT = 32;

/**
 * Reads the header of one GGUF file (`openGguf` also gathers the parts of a split one). Rejects with FRUGAL_BAD_FILE,
 * FRUGAL_UNSUPPORTED or the signal's reason. Closing the file closes the source.
 */
export async function readGguf(source: ByteSource, options: { readonly signal?: AbortSignal } = {}): Promise<GgufFile> {
  const header = await parseHead(source, takeHeader, options.signal);
  return { ...header, tensors: placeTensors(source, header.entries, header.dataOffset, header.alignment), close: () => source.close() };
}

type Header = Omit<GgufFile, "tensors" | "close"> & { readonly entries: readonly TensorEntry[] };

function* takeHeader(window: Window): Parse<Header> {
  yield* need(window, 24, "a GGUF header");
  checkMagic(window, takeU32(window));
  const version = takeU32(window);
  checkVersion(window, version);
  const tensorCount = takeLength(window, "the number of tensors");
  const keyCount = takeLength(window, "the number of metadata keys");
  const { metadata, types } = yield* takeMetadata(window, keyCount);
  const alignment = alignmentOf(window, metadata.get("general.alignment"), types.get("general.alignment"));
  const entries = yield* takeTensors(window, tensorCount);
  const dataOffset = Math.ceil(placeOf(window) / alignment) * alignment;
  return { version, metadata, types, alignment, entries, dataOffset };
}

function checkMagic(window: Window, magic: number): void {
  if (magic === MAGIC) return;
  const start = [...window.bytes.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  throw new FrugalError("FRUGAL_BAD_FILE", `${window.name}: begins with bytes ${start}, not with GGUF; name a GGUF file`, { offset: 0 });
}

function checkVersion(window: Window, version: number): void {
  if (version === 2 || version === 3) return;
  const unsupported = (wrong: string): FrugalError =>
    new FrugalError("FRUGAL_UNSUPPORTED", `${window.name}: ${wrong}`, { offset: 4, version });
  if (version !== 0 && (version & 0xffff) === 0) throw unsupported("is a big-endian GGUF file; fetch or convert the little-endian one");
  if (version === 1) throw unsupported("is GGUF version 1, which nobody writes any more; fetch or convert a newer one");
  throw unsupported(`is GGUF version ${version}, but only 2 and 3 are known; the file is corrupt or newer than this program`);
}

function alignmentOf(window: Window, value: MetadataValue | undefined, type: GgufValueType | undefined): number {
  if (value === undefined) return DEFAULT_ALIGNMENT;
  if (type === "u32" && typeof value === "number" && value > 0 && (value & (value - 1)) === 0) return value;
  const shown = typeof value === "object" ? "an array" : String(value);
  throw badHeader(window, 0, `general.alignment is ${shown} (${type}), not a power of two stored as u32`);
}

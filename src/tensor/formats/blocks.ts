/** What every format does alike: check lengths and finiteness, and walk block by block. A block format says only what one block is. */
import { FrugalError } from "../error.ts";
import type { StorageFormat } from "../format.ts";

export interface BlockLayout {
  readonly name: string;
  readonly ggufType?: number;
  readonly blockSize: number;
  readonly blockBytes: number;
  /** Decodes the block at `at` in `bytes` to `values` from `first`. */
  readBlock(bytes: Uint8Array, at: number, values: Float32Array, first: number): void;
  /** Makes a function that encodes one block; called once a tensor, so scratch space is allocated there and not for every block. */
  writer(): (values: Float32Array, first: number, bytes: Uint8Array, at: number) => void;
}

export function blockFormat(layout: BlockLayout): StorageFormat {
  const { name, ggufType, blockSize, blockBytes } = layout;
  return {
    name,
    ...(ggufType === undefined ? {} : { ggufType }),
    blockSize,
    blockBytes,
    decode(bytes, values) {
      checkLengths(layout, values, bytes);
      for (let at = 0, first = 0; first < values.length; at += blockBytes, first += blockSize) layout.readBlock(bytes, at, values, first);
    },
    encode(values, bytes) {
      checkLengths(layout, values, bytes);
      checkFinite(name, values);
      const write = layout.writer();
      for (let at = 0, first = 0; first < values.length; at += blockBytes, first += blockSize) write(values, first, bytes, at);
    },
  };
}

/** Throws FRUGAL_BAD_ARGUMENT unless both are the same number of whole blocks. */
export function checkLengths(
  { name, blockSize, blockBytes }: Pick<StorageFormat, "name" | "blockSize" | "blockBytes">,
  values: Float32Array,
  bytes: Uint8Array,
): void {
  const blocks = values.length / blockSize;
  if (Number.isInteger(blocks) && bytes.length === blocks * blockBytes) return;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${name}: ${values.length} values and ${bytes.length} bytes do not fit, a block is ${blockSize} values in ${blockBytes} bytes; pass whole blocks of both`,
    { values: values.length, bytes: bytes.length, blockSize, blockBytes },
  );
}

/** Throws FRUGAL_NUMERIC, naming the first value that is NaN or infinite. */
export function checkFinite(name: string, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value - value === 0) continue;
    throw new FrugalError("FRUGAL_NUMERIC", `${name}: value ${i} is ${value}; only finite numbers can be stored, mend the tensor first`, {
      index: i,
      value,
    });
  }
}

/** How numbers are stored: one record a format, in `formats/`. Models never ask which one a weight has. */

export interface StorageFormat {
  /** As GGUF spells it: "F32", "Q4_K". */
  readonly name: string;
  /** The type's number in GGUF files, where there is one: safetensors' U8 or BOOL have none. */
  readonly ggufType?: number;
  /** The dtype's name in safetensors files, where there is one. */
  readonly safetensorsType?: string;
  /** Elements in a block, along the innermost dimension. */
  readonly blockSize: number;
  /** Bytes in a block. */
  readonly blockBytes: number;
  /** Whole blocks to values: `values.length` is a multiple of `blockSize`, `bytes.length` the same multiple of `blockBytes`. `bytes` may be unaligned. */
  decode(bytes: Uint8Array, values: Float32Array): void;
  /** Values to whole blocks, the inverse of `decode` up to rounding; absent where the format cannot be written. Values must be finite. */
  readonly encode?: (values: Float32Array, bytes: Uint8Array) => void;
}

/** Bytes of `elements` values, which must be whole blocks. */
export const storedBytes = (format: StorageFormat, elements: number): number => (elements / format.blockSize) * format.blockBytes;

/** A weight as a file holds it: its format and where its bytes are. Nothing is read until somebody asks. */
import { storedBytes, type StorageFormat } from "./format.ts";
import { type Shape, size } from "./shape.ts";
import type { ByteSource } from "./source.ts";

export interface StoredTensor {
  readonly name: string;
  /** Outermost first; a matrix is `[outputs, inputs]` and the last dimension holds whole blocks of the format. */
  readonly shape: Shape;
  readonly format: StorageFormat;
  readonly source: ByteSource;
  /** Offset of its first byte in `source`. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Reads and decodes a whole tensor. */
export async function decodeTensor(tensor: StoredTensor): Promise<Float32Array> {
  const values = new Float32Array(size(tensor.shape));
  tensor.format.decode(await tensor.source.read(tensor.offset, storedBytes(tensor.format, values.length)), values);
  return values;
}

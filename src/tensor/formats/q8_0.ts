/** Q8_0: 32 signed bytes and their scale. Encodes to the same bytes as ggml: float32 arithmetic, halves rounded away from zero. */
import type { StorageFormat } from "../format.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { inverseScale, readHalf, writeHalf } from "./half.ts";

function readBlock(bytes: Uint8Array, at: number, values: Float32Array, first: number): void {
  const scale = readHalf(bytes, at);
  for (let i = 0; i < 32; i++) values[first + i] = scale * ((bytes[at + 2 + i]! << 24) >> 24);
}

function writeBlock(values: Float32Array, first: number, bytes: Uint8Array, at: number): void {
  let largest = 0;
  for (let i = first; i < first + 32; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > largest) largest = magnitude;
  }
  const scale = Math.fround(largest / 127);
  writeHalf(bytes, at, scale);
  const inverse = inverseScale(scale);
  for (let i = 0; i < 32; i++) {
    const scaled = Math.fround(values[first + i]! * inverse);
    bytes[at + 2 + i] = scaled < 0 ? scaled - 0.5 : scaled + 0.5;
  }
}

const layout: BlockLayout = { name: "Q8_0", ggufType: 8, blockSize: 32, blockBytes: 34, readBlock, writer: () => writeBlock };

export const Q8_0: StorageFormat = blockFormat(layout);

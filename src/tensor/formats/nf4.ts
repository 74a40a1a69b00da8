/**
 * NF4, 4-bit NormalFloat (Dettmers et al. 2023, QLoRA, arXiv 2305.14314, appendix E): 64 values as the largest absolute value, F32, times one
 * of 16 levels that normally distributed numbers use equally often. Codes as bitsandbytes packs them: the first of two in the upper half.
 */
import type { StorageFormat } from "../format.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";

const levels = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);
/** Between two levels; what is larger belongs to the upper one. */
const borders = Float32Array.from({ length: 15 }, (_, i) => (levels[i]! + levels[i + 1]!) / 2);

function codeOf(value: number): number {
  let code = 0;
  for (let step = 8; step > 0; step >>= 1) if (value > borders[code + step - 1]!) code += step;
  return code;
}

const layout: BlockLayout = {
  name: "NF4",
  blockSize: 64,
  blockBytes: 36,
  readBlock(bytes, at, values, first) {
    const largest = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getFloat32(0, true);
    for (let i = 0; i < 32; i++) {
      const pair = bytes[at + 4 + i]!;
      values[first + 2 * i] = levels[pair >> 4]! * largest;
      values[first + 2 * i + 1] = levels[pair & 15]! * largest;
    }
  },
  writer: () => (values, first, bytes, at) => {
    let largest = 0;
    for (let i = first; i < first + 64; i++) largest = Math.max(largest, Math.abs(values[i]!));
    new DataView(bytes.buffer, bytes.byteOffset + at, 4).setFloat32(0, largest, true);
    // By the rounded inverse, as bitsandbytes does it: a division puts some values on the other side of a border.
    const inverse = Math.fround(1 / Math.max(largest, 1e-38));
    const code = (i: number): number => codeOf(Math.fround(values[first + i]! * inverse));
    for (let i = 0; i < 32; i++) bytes[at + 4 + i] = (code(2 * i) << 4) | code(2 * i + 1);
  },
};

export const NF4: StorageFormat = blockFormat(layout);

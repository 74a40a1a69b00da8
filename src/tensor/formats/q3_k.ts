/** Q3_K: 16 sub-blocks of 16 values of 3 bits around zero, each with a signed 6-bit scale. */
import type { StorageFormat } from "../format.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { codebook } from "./codebook.ts";
import { readHalf, writeHalf } from "./half.ts";
import { packPairs } from "./q2_k.ts";
import { scaledEncoder } from "./scaled_blocks.ts";

/** Code c stands for c - 4: its upper bit lies in the first 32 bytes, its lower two as in Q2_K. */
const book = codebook([-4, -3, -2, -1, 0, 1, 2, 3]);

/** In order: upper bits (bit k of byte i: value 32 k + i), lower bits, scales, d. */
const layout: BlockLayout = {
  name: "Q3_K",
  ggufType: 11,
  blockSize: 256,
  blockBytes: 110,
  readBlock(bytes, at, values, first) {
    const d = readHalf(bytes, at + 108);
    for (let j = 0; j < 16; j++) {
      const scale = d * (readScale(bytes, at + 96, j) - 32);
      const upper = at + (j & 1) * 16;
      const lower = at + 32 + (j >> 3) * 32 + (j & 1) * 16;
      for (let i = 0; i < 16; i++) {
        const code = (((bytes[upper + i]! >> (j >> 1)) & 1) << 2) | ((bytes[lower + i]! >> (j & 6)) & 3);
        values[first + 16 * j + i] = scale * (code - 4);
      }
    }
  },
  writer() {
    const encode = scaledEncoder({ book, search: { trials: 9, step: 0.04, bothEnds: false }, subBlock: 16, lowestScale: 32 });
    return (values, first, bytes, at) => {
      const { d, scales, codes } = encode(values, first);
      for (let i = 0; i < 32; i++) {
        let byte = 0;
        for (let bit = 0; bit < 8; bit++) byte |= (codes[32 * bit + i]! >> 2) << bit;
        bytes[at + i] = byte;
      }
      packPairs(codes, bytes, at + 32);
      bytes.fill(0, at + 96, at + 108);
      for (let j = 0; j < 16; j++) addScale(bytes, at + 96, j, scales[j]! + 32);
      writeHalf(bytes, at + 108, d);
    };
  },
};

/** Scale j's low four bits lie in byte j % 8, its upper two in byte 8 + j % 4. */
const readScale = (bytes: Uint8Array, at: number, j: number): number =>
  ((bytes[at + (j & 7)]! >> ((j >> 3) * 4)) & 15) | (((bytes[at + 8 + (j & 3)]! >> ((j >> 2) * 2)) & 3) << 4);

function addScale(bytes: Uint8Array, at: number, j: number, scale: number): void {
  bytes[at + (j & 7)]! |= (scale & 15) << ((j >> 3) * 4);
  bytes[at + 8 + (j & 3)]! |= (scale >> 4) << ((j >> 2) * 2);
}

export const Q3_K: StorageFormat = blockFormat(layout);

/** Q6_K: 16 sub-blocks of 16 values of 6 bits around zero, each with a signed 8-bit scale. */
import type { StorageFormat } from "../format.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { codebook } from "./codebook.ts";
import { readHalf, writeHalf } from "./half.ts";
import { scaledEncoder } from "./scaled_blocks.ts";

/** Code c stands for c - 32. */
const book = codebook(Array.from({ length: 64 }, (_, code) => code - 32));

/**
 * In order: low four bits, upper two bits, scales, d. Of each 128 values, 64 bytes hold the low bits (values 64 apart share one)
 * and 32 bytes the upper bits (values 32 apart share one).
 */
const layout: BlockLayout = {
  name: "Q6_K",
  ggufType: 14,
  blockSize: 256,
  blockBytes: 210,
  readBlock(bytes, at, values, first) {
    const d = readHalf(bytes, at + 208);
    for (let j = 0; j < 16; j++) {
      const scale = d * ((bytes[at + 192 + j]! << 24) >> 24);
      const low = at + (j >> 3) * 64 + (j & 3) * 16;
      const lowShift = j & 4;
      const upper = at + 128 + (j >> 3) * 32 + (j & 1) * 16;
      const upperShift = j & 6;
      for (let i = 0; i < 16; i++) {
        const code = ((bytes[low + i]! >> lowShift) & 15) | (((bytes[upper + i]! >> upperShift) & 3) << 4);
        values[first + 16 * j + i] = scale * (code - 32);
      }
    }
  },
  writer() {
    const encode = scaledEncoder({ book, search: { trials: 9, step: 0.006, bothEnds: false }, subBlock: 16, lowestScale: 128 });
    return (values, first, bytes, at) => {
      const { d, scales, codes } = encode(values, first);
      for (let i = 0; i < 128; i++) {
        const start = (i >> 6) * 128 + (i & 63);
        bytes[at + i] = (codes[start]! & 15) | ((codes[start + 64]! & 15) << 4);
      }
      for (let i = 0; i < 64; i++) {
        const start = (i >> 5) * 128 + (i & 31);
        let byte = 0;
        for (let j = 0; j < 4; j++) byte |= (codes[start + 32 * j]! >> 4) << (2 * j);
        bytes[at + 128 + i] = byte;
      }
      for (let j = 0; j < 16; j++) bytes[at + 192 + j] = scales[j]!;
      writeHalf(bytes, at + 208, d);
    };
  },
};

export const Q6_K: StorageFormat = blockFormat(layout);

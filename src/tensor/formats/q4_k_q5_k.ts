/** Q4_K and Q5_K: 8 sub-blocks of 32 values of 4 or 5 bits, each with a 6-bit scale and a 6-bit minimum. */
import type { StorageFormat } from "../format.ts";
import { affineEncoder } from "./affine_blocks.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { readHalf, writeHalf } from "./half.ts";

/**
 * In order: d, e, 12 bytes of scales and minimums, the fifth bits (Q5_K; bit j of byte i belongs to value i of sub-block j),
 * the low four bits: 32 bytes hold sub-block 2k in their low nibbles and 2k + 1 in their high ones.
 */
function layout(name: string, ggufType: number, bits: 4 | 5): BlockLayout {
  const nibbles = bits === 5 ? 48 : 16;
  return {
    name,
    ggufType,
    blockSize: 256,
    blockBytes: nibbles + 128,
    readBlock(bytes, at, values, first) {
      const d = readHalf(bytes, at);
      const e = readHalf(bytes, at + 2);
      for (let j = 0; j < 8; j++) {
        const scale = d * readScale(bytes, at + 4, j);
        const minimum = e * readMinimum(bytes, at + 4, j);
        const low = at + nibbles + (j >> 1) * 32;
        const shift = (j & 1) * 4;
        const out = first + 32 * j;
        if (bits === 4) {
          for (let i = 0; i < 32; i++) values[out + i] = scale * ((bytes[low + i]! >> shift) & 15) - minimum;
        } else {
          for (let i = 0; i < 32; i++) {
            const code = ((bytes[low + i]! >> shift) & 15) | (((bytes[at + 16 + i]! >> j) & 1) << 4);
            values[out + i] = scale * code - minimum;
          }
        }
      }
    },
    writer() {
      const encode = affineEncoder({ subBlock: 32, largestCode: 2 ** bits - 1, largestScale: 63 });
      return (values, first, bytes, at) => {
        const { d, e, scales, minimums, codes } = encode(values, first);
        writeHalf(bytes, at, d);
        writeHalf(bytes, at + 2, e);
        for (let j = 0; j < 4; j++) {
          bytes[at + 4 + j] = scales[j]! | ((scales[j + 4]! >> 4) << 6);
          bytes[at + 8 + j] = minimums[j]! | ((minimums[j + 4]! >> 4) << 6);
          bytes[at + 12 + j] = (scales[j + 4]! & 15) | ((minimums[j + 4]! & 15) << 4);
        }
        for (let i = 0; i < 128; i++) {
          const start = (i >> 5) * 64 + (i & 31);
          bytes[at + nibbles + i] = (codes[start]! & 15) | ((codes[start + 32]! & 15) << 4);
        }
        if (bits === 4) return;
        for (let i = 0; i < 32; i++) {
          let byte = 0;
          for (let j = 0; j < 8; j++) byte |= (codes[32 * j + i]! >> 4) << j;
          bytes[at + 16 + i] = byte;
        }
      };
    },
  };
}

/** The last four scales and minimums have their low four bits in the last four bytes, the upper two above the first four's six. */
const readScale = (bytes: Uint8Array, at: number, j: number): number =>
  j < 4 ? bytes[at + j]! & 63 : (bytes[at + j + 4]! & 15) | ((bytes[at + j - 4]! >> 6) << 4);
const readMinimum = (bytes: Uint8Array, at: number, j: number): number =>
  j < 4 ? bytes[at + j + 4]! & 63 : (bytes[at + j + 4]! >> 4) | ((bytes[at + j]! >> 6) << 4);

export const Q4_K: StorageFormat = blockFormat(layout("Q4_K", 12, 4));
export const Q5_K: StorageFormat = blockFormat(layout("Q5_K", 13, 5));

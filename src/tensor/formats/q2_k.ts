/** Q2_K: 16 sub-blocks of 16 values of 2 bits, each with a 4-bit scale and a 4-bit minimum. */
import type { StorageFormat } from "../format.ts";
import { affineEncoder } from "./affine_blocks.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { readHalf, writeHalf } from "./half.ts";

/** In order: a byte for each sub-block (scale low, minimum high), the codes, d, e. Each 128 values share 32 bytes, values 32 apart one byte. */
const layout: BlockLayout = {
  name: "Q2_K",
  ggufType: 10,
  blockSize: 256,
  blockBytes: 84,
  readBlock(bytes, at, values, first) {
    const d = readHalf(bytes, at + 80);
    const e = readHalf(bytes, at + 82);
    for (let j = 0; j < 16; j++) {
      const scale = d * (bytes[at + j]! & 15);
      const minimum = e * (bytes[at + j]! >> 4);
      const codes = at + 16 + (j >> 3) * 32 + (j & 1) * 16;
      const shift = j & 6;
      for (let i = 0; i < 16; i++) values[first + 16 * j + i] = scale * ((bytes[codes + i]! >> shift) & 3) - minimum;
    }
  },
  writer() {
    const encode = affineEncoder({ subBlock: 16, largestCode: 3, largestScale: 15 });
    return (values, first, bytes, at) => {
      const { d, e, scales, minimums, codes } = encode(values, first);
      for (let j = 0; j < 16; j++) bytes[at + j] = scales[j]! | (minimums[j]! << 4);
      packPairs(codes, bytes, at + 16);
      writeHalf(bytes, at + 80, d);
      writeHalf(bytes, at + 82, e);
    };
  },
};

/** Packs the lower two bits of 256 codes in 64 bytes, the way Q2_K and Q3_K share. */
export function packPairs(codes: Uint8Array, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 64; i++) {
    const start = (i >> 5) * 128 + (i & 31);
    let byte = 0;
    for (let j = 0; j < 4; j++) byte |= (codes[start + 32 * j]! & 3) << (2 * j);
    bytes[at + i] = byte;
  }
}

export const Q2_K: StorageFormat = blockFormat(layout);

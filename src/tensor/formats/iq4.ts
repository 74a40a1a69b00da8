/** IQ4_NL and IQ4_XS: 4-bit codes into 16 uneven levels, dense near zero where weights are. */
import type { StorageFormat } from "../format.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { bestScale, codebook, codeOf, type ScaleSearch, scaleError } from "./codebook.ts";
import { readHalf, writeHalf } from "./half.ts";
import { scaledEncoder } from "./scaled_blocks.ts";
import { errorWeights } from "./weights.ts";

const book = codebook([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]);
// Either sign of the scale may suit, since the levels lean to one side: trying both ends leaves 1 % less error in real weights.
const search: ScaleSearch = { trials: 7, step: 1 / 127, bothEnds: true };

/** 32 values from 16 bytes: the first half in the low nibbles. */
function readNibbles(bytes: Uint8Array, at: number, scale: number, values: Float32Array, first: number): void {
  for (let i = 0; i < 16; i++) {
    values[first + i] = scale * book.levels[bytes[at + i]! & 15]!;
    values[first + 16 + i] = scale * book.levels[bytes[at + i]! >> 4]!;
  }
}

const nl: BlockLayout = {
  name: "IQ4_NL",
  ggufType: 20,
  blockSize: 32,
  blockBytes: 18,
  readBlock: (bytes, at, values, first) => readNibbles(bytes, at + 2, readHalf(bytes, at), values, first),
  writer() {
    const weights = new Float64Array(32);
    return (values, first, bytes, at) => {
      errorWeights(values, first, weights);
      const ideal = bestScale(book, search, values, first, weights, 0, 32);
      const scale = writeHalf(bytes, at, refined(ideal, values, first, weights));
      const inverse = scale === 0 ? 0 : 1 / scale;
      for (let i = 0; i < 16; i++) {
        bytes[at + 2 + i] = codeOf(book, values[first + i]! * inverse) | (codeOf(book, values[first + 16 + i]! * inverse) << 4);
      }
    };
  },
};

/** The better of a scale and its neighbours half a code step away: least squares was over codes that the scale itself then changes. */
function refined(ideal: number, values: Float32Array, first: number, weights: Float64Array): number {
  let best = ideal;
  let least = scaleError(book, ideal, values, first, weights, 0, 32);
  for (let trial = -2; trial <= 2; trial++) {
    const scale = ideal * (1 + trial / 254);
    const error = scaleError(book, scale, values, first, weights, 0, 32);
    if (error < least) [least, best] = [error, scale];
  }
  return best;
}

/** In order: d, the upper two bits of 8 signed 6-bit scales, their low four bits, the codes of each 32 values as in IQ4_NL. */
const xs: BlockLayout = {
  name: "IQ4_XS",
  ggufType: 23,
  blockSize: 256,
  blockBytes: 136,
  readBlock(bytes, at, values, first) {
    const d = readHalf(bytes, at);
    for (let j = 0; j < 8; j++) {
      const low = (bytes[at + 4 + (j >> 1)]! >> ((j & 1) * 4)) & 15;
      const upper = (bytes[at + 2 + (j >> 2)]! >> ((j & 3) * 2)) & 3;
      readNibbles(bytes, at + 8 + 16 * j, d * ((low | (upper << 4)) - 32), values, first + 32 * j);
    }
  },
  writer() {
    const encode = scaledEncoder({ book, search, subBlock: 32, lowestScale: 32 });
    return (values, first, bytes, at) => {
      const { d, scales, codes } = encode(values, first);
      writeHalf(bytes, at, d);
      bytes.fill(0, at + 2, at + 8);
      for (let j = 0; j < 8; j++) {
        const scale = scales[j]! + 32;
        bytes[at + 4 + (j >> 1)]! |= (scale & 15) << ((j & 1) * 4);
        bytes[at + 2 + (j >> 2)]! |= (scale >> 4) << ((j & 3) * 2);
        for (let i = 0; i < 16; i++) bytes[at + 8 + 16 * j + i] = codes[32 * j + i]! | (codes[32 * j + 16 + i]! << 4);
      }
    };
  },
};

export const IQ4_NL: StorageFormat = blockFormat(nl);
export const IQ4_XS: StorageFormat = blockFormat(xs);

/** MXFP4 (OCP Microscaling 1.0): 32 values of 4-bit floats E2M1 under one power of two. */
import type { StorageFormat } from "../format.ts";
import { type BlockLayout, blockFormat } from "./blocks.ts";
import { codebook, codeOf, scaleError } from "./codebook.ts";
import { errorWeights } from "./weights.ts";

/** Twice what E2M1 stands for, so that they are integers; the upper eight are the negative ones. */
const book = codebook([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]);

/** Half of the power of two that the exponent byte stands for, because the levels are doubled. */
const halfScale = (exponent: number): number => 2 ** (exponent - 128);

const layout: BlockLayout = {
  name: "MXFP4",
  ggufType: 39,
  blockSize: 32,
  blockBytes: 17,
  readBlock(bytes, at, values, first) {
    const scale = halfScale(bytes[at]!);
    for (let i = 0; i < 16; i++) {
      values[first + i] = scale * book.levels[bytes[at + 1 + i]! & 15]!;
      values[first + 16 + i] = scale * book.levels[bytes[at + 1 + i]! >> 4]!;
    }
  },
  writer() {
    const weights = new Float64Array(32);
    return (values, first, bytes, at) => {
      errorWeights(values, first, weights);
      let largest = 0;
      for (let i = first; i < first + 32; i++) largest = Math.max(largest, Math.abs(values[i]!));
      // The largest value is four to eight times the power of two and levels end at six, so one power more may cut off less.
      const exponent = Math.max(0, Math.min(253, Math.floor(Math.log2(largest)) + 125));
      const error = (e: number): number => scaleError(book, halfScale(e), values, first, weights, 0, 32);
      const chosen = error(exponent + 1) < error(exponent) ? exponent + 1 : exponent;
      bytes[at] = chosen;
      const inverse = 1 / halfScale(chosen);
      for (let i = 0; i < 16; i++) {
        bytes[at + 1 + i] = codeOf(book, values[first + i]! * inverse) | (codeOf(book, values[first + 16 + i]! * inverse) << 4);
      }
    };
  },
};

export const MXFP4: StorageFormat = blockFormat(layout);

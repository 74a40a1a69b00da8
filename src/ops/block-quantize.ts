/** blockQuantize — numbers as 8-bit codes in blocks, [blocks, 66]; see block-codes.ts. Without a sign, negative numbers become 0. */
import { size } from "../tensor/shape.ts";
import { blockSize, blocksOf, codeOf, dynamicLevels, keyOf, midpoints, storedPerBlock, wordOf } from "./block-codes.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";

export const blockQuantize: Op<1, { readonly signed: boolean }> = {
  name: "blockQuantize",
  arity: 1,
  attributes: { signed: "boolean" },
  shape: ([x]) => [blocksOf("blockQuantize", x), storedPerBlock],
  gradient: "none",
  cost: ([x]) => costOf(12 * size(x), x, [blocksOf("blockQuantize", x), storedPerBlock]),
  reference([x], y, { signed }) {
    const middle = midpoints(dynamicLevels(signed));
    const words = new Uint32Array(1);
    const floats = new Float32Array(words.buffer);
    for (let block = 0; block < y.shape[0]!; block++) {
      const numbers = x.data.subarray(block * blockSize, (block + 1) * blockSize);
      let peak = 0;
      for (const number of numbers) peak = Math.max(peak, Math.abs(number));
      const codes = new Uint8Array(blockSize);
      // In f32 throughout: at a midpoint, a bit decides.
      const inverse = peak === 0 ? 0 : Math.fround(1 / peak);
      for (const [i, number] of numbers.entries()) codes[i] = codeOf(middle, Math.fround(number * inverse));
      const key = keyOf(codes);
      y.data[block * storedPerBlock] = peak;
      y.data[block * storedPerBlock + 1] = key;
      for (let word = 0; 4 * word < blockSize; word++) {
        words[0] = wordOf(codes, 4 * word, key);
        y.data[block * storedPerBlock + 2 + word] = floats[0]!;
      }
    }
  },
  samples: [
    { shapes: [[5, 7]], attributes: { signed: true } },
    { shapes: [[3, 171]], attributes: { signed: false }, domains: ["positive"] },
    { shapes: [[600]], attributes: { signed: true } },
    { shapes: [[3]], attributes: { signed: true }, domains: [{ exactly: [0, 0, 0] }] },
  ],
};

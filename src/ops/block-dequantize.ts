/** blockDequantize — the numbers of a shape from 8-bit codes in blocks, [blocks, 66]; see block-codes.ts. */
import type { Dims } from "../graph/dim.ts";
import { size } from "../tensor/shape.ts";
import { blockSize, blocksOf, codeIn, dynamicLevels, storedPerBlock } from "./block-codes.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDims, known } from "./shapes.ts";

export const blockDequantize: Op<1, { readonly shape: Dims; readonly signed: boolean }> = {
  name: "blockDequantize",
  arity: 1,
  attributes: { shape: "dims", signed: "boolean" },
  shape([codes], { shape }) {
    expectDims("blockDequantize", "codes", codes, [blocksOf("blockDequantize", shape), storedPerBlock]);
    return shape;
  },
  gradient: "none",
  cost([codes], { shape }) {
    const y = shape.map(known);
    return costOf(4 * size(y), codes, y);
  },
  reference([{ data }], y, { signed }) {
    const levels = dynamicLevels(signed);
    const floats = new Float32Array(1);
    const words = new Uint32Array(floats.buffer);
    for (let i = 0; i < y.data.length; i++) {
      const block = Math.floor(i / blockSize) * storedPerBlock;
      const place = i % blockSize;
      floats[0] = data[block + 2 + (place >> 2)]!;
      y.data[i] = data[block]! * levels[codeIn(words[0]!, place & 3, data[block + 1]!)]!;
    }
  },
  samples: [
    { shapes: [[1, 66]], attributes: { shape: [5, 7], signed: true }, domains: [{ exactly: storedSample(1) }] },
    { shapes: [[3, 66]], attributes: { shape: [600], signed: false }, domains: [{ exactly: storedSample(3) }] },
    { shapes: [[3, 66]], attributes: { shape: [19, 31], signed: true }, domains: [{ exactly: storedSample(3) }] },
  ],
};

/** Blocks with a peak, a key, and words over the whole range of normal floats. */
function storedSample(blocks: number): number[] {
  const words = Float32Array.from({ length: 64 }, (_, i) => (-1.37) ** (4 * i - 128));
  return Array.from({ length: blocks }, (_, block) => [0.5 + block, 3 + 100 * block, ...words]).flat();
}

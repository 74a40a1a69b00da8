/**
 * coarseMatmul — x · wᵀ by a coarse copy of w, for finding the outputs that are worth an exact product: each number of w is one of four,
 * scale · (code - 1.5) with one scale a row. A backend keeps the copy beside the weight; it is a quarter of 8-bit weights.
 *
 * The step between levels is that which loses least of a Gaussian (Max 1960, "Quantizing for minimum distortion", table II): 0.9957 of
 * the row's root mean square. The scale is that which loses least with the codes so found, as BF16.
 */
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDim, expectRank } from "./shapes.ts";

const gaussianStep = 0.9957;

export const coarseMatmul: Op<2, {}> = {
  name: "coarseMatmul",
  arity: 2,
  attributes: {},
  shape([x, w]) {
    expectRank("coarseMatmul", "x", x, 2);
    expectRank("coarseMatmul", "w", w, 2);
    expectDim("coarseMatmul", "the last size of w", w[1]!, x[1]!);
    return [x[0]!, w[0]!];
  },
  gradient: "none",
  // The codes are a sixteenth of w in 4-byte numbers, the scales half of one a row.
  cost([x, w]) {
    const { flops, bytesMoved } = costOf(2 * x[0]! * x[1]! * w[0]!, x, [x[0]!, w[0]!]);
    return { flops, bytesMoved: bytesMoved + Math.ceil((w[0]! * w[1]!) / 4) + 2 * w[0]! };
  },
  reference([x, w], y) {
    const [rows, inner, outputs] = [x.shape[0]!, x.shape[1]!, w.shape[0]!];
    for (let n = 0; n < outputs; n++) {
      const copy = coarse(Float64Array.from(w.data.subarray(n * inner, (n + 1) * inner)));
      for (let i = 0; i < rows; i++) {
        let sum = 0;
        for (let k = 0; k < inner; k++) sum += x.data[i * inner + k]! * copy[k]!;
        y.data[i * outputs + n] = sum;
      }
    }
  },
  samples: [
    {
      shapes: [
        [2, 3],
        [4, 3],
      ],
      attributes: {},
    },
    {
      shapes: [
        [1, 32],
        [17, 32],
      ],
      attributes: {},
    },
    {
      shapes: [
        [3, 1],
        [1, 1],
      ],
      attributes: {},
    },
  ],
};

/** A row as its coarse copy holds it. */
function coarse(row: Float64Array): Float64Array {
  const step = gaussianStep * Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / row.length);
  const levels = row.map((v) => Number(v >= -step) + Number(v >= 0) + Number(v >= step) - 1.5);
  const scale = levels.reduce((sum, level, k) => sum + level * row[k]!, 0) / levels.reduce((sum, level) => sum + level * level, 0);
  return levels.map((level) => level * toBfloat(scale));
}

function toBfloat(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0]!;
}

/** matmul — y = x · wᵀ, with w as checkpoints store it: a row for each output. w may be a weight in any storage format. */
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDim, expectRank } from "./shapes.ts";

export const matmul: Op<2, {}> = {
  name: "matmul",
  arity: 2,
  attributes: {},
  shape([x, w]) {
    expectRank("matmul", "x", x, 2);
    expectRank("matmul", "w", w, 2);
    expectDim("matmul", "the last size of w", w[1]!, x[1]!);
    return [x[0]!, w[0]!];
  },
  gradient: ({ b, x: [x, w], dy }) => [b.matmul(dy, b.transpose(w)), b.matmul(b.transpose(dy), b.transpose(x))],
  cost: ([x, w]) => costOf(2 * x[0]! * x[1]! * w[0]!, x, w, [x[0]!, w[0]!]),
  reference([x, w], y) {
    const [rows, inner, outputs] = [x.shape[0]!, x.shape[1]!, w.shape[0]!];
    for (let i = 0; i < rows; i++)
      for (let n = 0; n < outputs; n++) {
        let sum = 0;
        for (let k = 0; k < inner; k++) sum += x.data[i * inner + k]! * w.data[n * inner + k]!;
        y.data[i * outputs + n] = sum;
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
        [1, 33],
        [17, 33],
      ],
      attributes: {},
    },
    {
      shapes: [
        [5, 65],
        [9, 65],
      ],
      attributes: {},
    },
    {
      shapes: [
        [13, 1],
        [1, 1],
      ],
      attributes: {},
    },
  ],
};

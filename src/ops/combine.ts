/** combine — what the chosen experts gave, added up with their weights: y[t] = Σⱼ weights[t, j] · x[t·k + j]. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { chosenRows, repeated } from "./experts.ts";
import type { Op } from "./op.ts";
import { expectDim, expectRank } from "./shapes.ts";

export const combine: Op<2, {}> = {
  name: "combine",
  arity: 2,
  attributes: {},
  shape([x, weights]) {
    expectRank("combine", "x", x, 2);
    expectRank("combine", "weights", weights, 2);
    expectDim("combine", "the rows of x", x[0]!, chosenRows("combine", weights));
    return [weights[0]!, x[1]!];
  },
  gradient({ b, x: [x, weights], dy }) {
    const each = repeated(b, dy, weights.shape[1]! as number);
    const dots = b.sum(b.mul(each, x), { axis: 1 });
    return [b.mul(each, b.reshape(weights, { shape: [x.shape[0]!, 1] })), b.reshape(dots, { shape: weights.shape })];
  },
  cost: ([x, weights]) => costOf(2 * size(x), x, weights, [weights[0]!, x[1]!]),
  reference([x, weights], y) {
    const [count, width] = [weights.shape[1]!, x.shape[1]!];
    for (let t = 0; t < weights.shape[0]!; t++)
      for (let c = 0; c < width; c++) {
        let sum = 0;
        for (let j = 0; j < count; j++) sum += weights.data[t * count + j]! * x.data[(t * count + j) * width + c]!;
        y.data[t * width + c] = sum;
      }
  },
  samples: [
    {
      shapes: [
        [6, 5],
        [3, 2],
      ],
      attributes: {},
    },
    {
      shapes: [
        [3, 33],
        [3, 1],
      ],
      attributes: {},
    },
    {
      shapes: [
        [9, 1],
        [3, 3],
      ],
      attributes: {},
    },
  ],
};

/** dot — the sum of the products of all numbers of two values of one shape: squared norms, where both are the same. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDims } from "./shapes.ts";

export const dot: Op<2, {}> = {
  name: "dot",
  arity: 2,
  attributes: {},
  shape([x, other]) {
    expectDims("dot", "the second value", other, x);
    return [1];
  },
  gradient: ({ b, x: [x, other], dy }) => {
    const factor = b.reshape(dy, { shape: x.shape.map(() => 1) });
    return [b.mul(other, factor), b.mul(x, factor)];
  },
  decompose({ b, x: [x, other] }) {
    let sum = b.mul(x, other);
    for (const axis of x.shape.keys()) sum = b.sum(sum, { axis });
    return b.reshape(sum, { shape: [1] });
  },
  cost: ([x]) => costOf(2 * size(x), x, x),
  reference([x, other], y) {
    let sum = 0;
    for (let i = 0; i < x.data.length; i++) sum += x.data[i]! * other.data[i]!;
    y.data[0] = sum;
  },
  samples: [
    { shapes: [[5], [5]], attributes: {} },
    {
      shapes: [
        [7, 33],
        [7, 33],
      ],
      attributes: {},
    },
  ],
};

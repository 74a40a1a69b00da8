/** select — a where the condition is not 0, else b; all of one shape. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectDims } from "./shapes.ts";
import { filled } from "./spread.ts";

export const select: Op<3, {}> = {
  name: "select",
  arity: 3,
  attributes: {},
  shape([condition, a, b]) {
    expectDims("select", "a", a, condition);
    expectDims("select", "b", b, condition);
    return condition;
  },
  gradient({ b, x: [condition], dy }) {
    const zeros = filled(b, 0, dy.shape);
    return [undefined, b.select(condition, dy, zeros), b.select(condition, zeros, dy)];
  },
  cost: ([x]) => costOf(size(x), x, x, x, x),
  reference([condition, a, b], y) {
    for (let i = 0; i < y.data.length; i++) y.data[i] = condition.data[i] !== 0 ? a.data[i]! : b.data[i]!;
  },
  samples: [
    {
      shapes: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      attributes: {},
      domains: [{ exactly: [1, 0, 0, 1, -2, 0] }],
    },
    {
      shapes: [
        [1, 1],
        [1, 1],
        [1, 1],
      ],
      attributes: {},
      domains: [{ exactly: [0] }],
    },
    {
      shapes: [
        [3, 11],
        [3, 11],
        [3, 11],
      ],
      attributes: {},
      domains: [{ exactly: Array.from({ length: 33 }, (_, i) => i % 3) }],
    },
  ],
};

/** broadcast — x spread over a larger shape. */
import type { Dims } from "../graph/dim.ts";
import { costOf } from "./cost.ts";
import { spreadIndex } from "./lines.ts";
import type { Op } from "./op.ts";
import { known } from "./shapes.ts";
import { expectSpread, sumTo } from "./spread.ts";

export const broadcast: Op<1, { readonly shape: Dims }> = {
  name: "broadcast",
  arity: 1,
  attributes: { shape: "dims" },
  anyType: true,
  shape([x], { shape }) {
    expectSpread("broadcast", "x", x, shape);
    return shape;
  },
  gradient: ({ b, x: [x], dy }) => [sumTo(b, dy, x.shape)],
  cost: ([x], { shape }) => costOf(0, x, shape.map(known)),
  reference([x], y) {
    const at = spreadIndex(y.shape, x.shape);
    for (let i = 0; i < y.data.length; i++) y.data[i] = x.data[at(i)]!;
  },
  samples: [
    { shapes: [[1, 3]], attributes: { shape: [4, 3] } },
    { shapes: [[7]], attributes: { shape: [3, 7] } },
    { shapes: [[2, 1, 5]], attributes: { shape: [2, 3, 5] } },
    { shapes: [[1, 1]], attributes: { shape: [3, 5] } },
  ],
};

/** sum — the sum along one axis, which stays with size 1. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { linesAlong } from "./lines.ts";
import type { Op } from "./op.ts";
import { expectAxis } from "./shapes.ts";

export const sum: Op<1, { readonly axis: number }> = {
  name: "sum",
  arity: 1,
  attributes: { axis: "integer" },
  shape([x], { axis }) {
    expectAxis("sum", axis, x);
    return x.with(axis, 1);
  },
  gradient: ({ b, x: [x], dy }) => [b.broadcast(dy, { shape: x.shape })],
  cost: ([x], { axis }) => costOf(size(x), x, x.with(axis, 1)),
  reference([x], y, { axis }) {
    let line = 0;
    for (const at of linesAlong(x.shape, axis)) {
      let total = 0;
      for (let i = 0; i < x.shape[axis]!; i++) total += x.data[at(i)]!;
      y.data[line++] = total;
    }
  },
  samples: [
    { shapes: [[2, 3]], attributes: { axis: 1 } },
    { shapes: [[5, 17]], attributes: { axis: 0 } },
    { shapes: [[2, 3, 5]], attributes: { axis: 1 } },
    { shapes: [[1, 1]], attributes: { axis: 1 } },
  ],
};

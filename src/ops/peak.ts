/** peak — the largest number along one axis, which stays with size 1. Equal largest ones share the gradient. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { linesAlong } from "./lines.ts";
import type { Op } from "./op.ts";
import { expectAxis } from "./shapes.ts";

export const peak: Op<1, { readonly axis: number }> = {
  name: "peak",
  arity: 1,
  attributes: { axis: "integer" },
  shape([x], { axis }) {
    expectAxis("peak", axis, x);
    return x.with(axis, 1);
  },
  gradient({ b, x: [x], y, dy, attributes }) {
    const atPeak = b.scale(b.less(x, y), { by: -1, plus: 1 });
    return [b.mul(atPeak, b.div(dy, b.sum(atPeak, attributes)))];
  },
  cost: ([x], { axis }) => costOf(size(x), x, x.with(axis, 1)),
  reference([x], y, { axis }) {
    let line = 0;
    for (const at of linesAlong(x.shape, axis)) {
      let largest = -Infinity;
      for (let i = 0; i < x.shape[axis]!; i++) largest = Math.max(largest, x.data[at(i)]!);
      y.data[line++] = largest;
    }
  },
  samples: [
    { shapes: [[2, 3]], attributes: { axis: 1 } },
    { shapes: [[5, 17]], attributes: { axis: 0 } },
    { shapes: [[2, 3, 5]], attributes: { axis: 1 } },
    { shapes: [[1, 1]], attributes: { axis: 1 } },
  ],
};

/** slice — `length` entries along one axis, from `start`. */
import { type Dim, plus, printDim } from "../graph/dim.ts";
import type { Value } from "../graph/value.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { linesAlong } from "./lines.ts";
import { type Op, ShapeError } from "./op.ts";
import { expectAxis, known, minus, neverNegative } from "./shapes.ts";
import { filled } from "./spread.ts";

export const slice: Op<1, { readonly axis: number; readonly start: Dim; readonly length: Dim }> = {
  name: "slice",
  arity: 1,
  attributes: { axis: "integer", start: "dim", length: "dim" },
  anyType: true,
  shape([x], { axis, start, length }) {
    expectAxis("slice", axis, x);
    if (!neverNegative(minus(x[axis]!, plus(start, length))))
      throw new ShapeError(
        `slice: ${printDim(length)} from ${printDim(start)} does not lie within the ${printDim(x[axis]!)} of axis ${axis}`,
      );
    return x.with(axis, length);
  },
  gradient({ b, x: [x], dy, attributes: { axis, start, length } }) {
    const zeros = (dim: Dim): Value[] => (dim === 0 ? [] : [filled(b, 0, x.shape.with(axis, dim))]);
    return [b.concat([...zeros(start), dy, ...zeros(minus(x.shape[axis]!, plus(start, length)))], { axis })];
  },
  cost([x], { axis, length }) {
    const y = x.with(axis, known(length));
    return costOf(0, y, y);
  },
  reference([x], y, { axis, start }) {
    const from = known(start) * size(x.shape.slice(axis + 1));
    const lines = linesAlong(y.shape, axis);
    for (const at of linesAlong(x.shape, axis)) {
      const to = lines.next().value as (i: number) => number;
      for (let i = 0; i < y.shape[axis]!; i++) y.data[to(i)] = x.data[at(i) + from]!;
    }
  },
  samples: [
    { shapes: [[5, 7]], attributes: { axis: 1, start: 2, length: 3 } },
    { shapes: [[5, 7]], attributes: { axis: 0, start: 1, length: 4 } },
    { shapes: [[5, 7]], attributes: { axis: 0, start: 3, length: 1 } },
    { shapes: [[2, 9, 3]], attributes: { axis: 1, start: 0, length: 4 } },
  ],
};

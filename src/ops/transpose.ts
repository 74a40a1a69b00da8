/** transpose — swaps the last two axes. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { printDims } from "../graph/dim.ts";
import { type Op, ShapeError } from "./op.ts";

export const transpose: Op<1, {}> = {
  name: "transpose",
  arity: 1,
  attributes: {},
  anyType: true,
  shape([x]) {
    if (x.length < 2) throw new ShapeError(`transpose: x must have 2 dimensions or more, got ${printDims(x)}`);
    return [...x.slice(0, -2), x[x.length - 1]!, x[x.length - 2]!];
  },
  gradient: ({ b, dy }) => [b.transpose(dy)],
  cost: ([x]) => costOf(0, x, x),
  reference([x], y) {
    const [rows, columns] = [x.shape[x.shape.length - 2]!, x.shape[x.shape.length - 1]!];
    const matrices = size(x.shape.slice(0, -2));
    for (let m = 0; m < matrices; m++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) y.data[(m * columns + j) * rows + i] = x.data[(m * rows + i) * columns + j]!;
  },
  samples: [
    { shapes: [[2, 3]], attributes: {} },
    { shapes: [[1, 9]], attributes: {} },
    { shapes: [[17, 33]], attributes: {} },
    { shapes: [[3, 2, 5]], attributes: {} },
  ],
};

/** concat — inputs side by side along one axis; the other sizes are equal. */
import { type Dim, plus } from "../graph/dim.ts";
import { size } from "../tensor/shape.ts";
import type { Op } from "./op.ts";
import { expectAxis, expectDims } from "./shapes.ts";

export const concat: Op<"many", { readonly axis: number }> = {
  name: "concat",
  arity: "many",
  attributes: { axis: "integer" },
  anyType: true,
  shape(inputs, { axis }) {
    const first = inputs[0]!;
    expectAxis("concat", axis, first);
    inputs.forEach((x, i) => expectDims("concat", `input ${i}`, x, axis in x ? first.with(axis, x[axis]!) : first));
    return first.with(
      axis,
      inputs.reduce<Dim>((sum, x) => plus(sum, x[axis]!), 0),
    );
  },
  gradient({ b, x, dy, attributes: { axis } }) {
    let start: Dim = 0;
    return x.map((input) => {
      const length = input.shape[axis]!;
      const part = b.slice(dy, { axis, start, length });
      start = plus(start, length);
      return part;
    });
  },
  cost: (inputs) => ({ flops: 0, bytesMoved: 8 * inputs.reduce((sum, x) => sum + size(x), 0) }),
  reference(inputs, y, { axis }) {
    const outer = size(y.shape.slice(0, axis));
    const stride = size(y.shape.slice(axis));
    let start = 0;
    for (const { data, shape } of inputs) {
      const length = size(shape.slice(axis));
      for (let o = 0; o < outer; o++) y.data.set(data.subarray(o * length, (o + 1) * length), o * stride + start);
      start += length;
    }
  },
  samples: [
    {
      shapes: [
        [2, 3],
        [2, 4],
      ],
      attributes: { axis: 1 },
    },
    {
      shapes: [
        [2, 3],
        [1, 3],
        [4, 3],
      ],
      attributes: { axis: 0 },
    },
    {
      shapes: [
        [2, 3, 5],
        [2, 2, 5],
      ],
      attributes: { axis: 1 },
    },
    { shapes: [[3, 3]], attributes: { axis: 0 } },
    {
      shapes: [
        [3, 5],
        [3, 5],
      ],
      attributes: { axis: 0 },
    },
  ],
};

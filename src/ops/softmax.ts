/** softmax — y = exp(x − max x) / Σ exp(x − max x), along one axis (the last where none is given). */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { linesAlong } from "./lines.ts";
import type { Op } from "./op.ts";
import { expectAxis } from "./shapes.ts";

export const softmax: Op<1, { readonly axis?: number | undefined }> = {
  name: "softmax",
  arity: 1,
  attributes: { axis: "integer?" },
  shape([x], { axis = x.length - 1 }) {
    expectAxis("softmax", axis, x);
    return x;
  },
  gradient({ b, x: [x], y, dy, attributes: { axis = x.shape.length - 1 } }) {
    return [b.mul(y, b.sub(dy, b.sum(b.mul(dy, y), { axis })))]; // dx = y ⊙ (dy − ⟨dy, y⟩)
  },
  decompose({ b, x: [x], attributes: { axis = x.shape.length - 1 } }) {
    const powers = b.exp(b.sub(x, b.peak(x, { axis })));
    return b.div(powers, b.sum(powers, { axis }));
  },
  cost: ([x]) => costOf(13 * size(x), x, x),
  reference([x], y, { axis = x.shape.length - 1 }) {
    const length = x.shape[axis]!;
    for (const at of linesAlong(x.shape, axis)) {
      let peak = -Infinity;
      for (let i = 0; i < length; i++) peak = Math.max(peak, x.data[at(i)]!);
      let sum = 0;
      for (let i = 0; i < length; i++) sum += Math.exp(x.data[at(i)]! - peak);
      for (let i = 0; i < length; i++) y.data[at(i)] = Math.exp(x.data[at(i)]! - peak) / sum;
    }
  },
  samples: [
    { shapes: [[2, 5]], attributes: {} },
    { shapes: [[3, 33]], attributes: { axis: 1 } },
    { shapes: [[7, 3]], attributes: { axis: 0 } },
    { shapes: [[3, 2, 4]], attributes: { axis: 1 } },
    { shapes: [[3, 1]], attributes: {} },
  ],
};

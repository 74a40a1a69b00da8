/** scale — y = by · x + plus, for fixed numbers. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";

export const scale: Op<1, { readonly by: number; readonly plus?: number | undefined }> = {
  name: "scale",
  arity: 1,
  attributes: { by: "number", plus: "number?" },
  shape: ([x]) => x,
  gradient: ({ b, dy, attributes: { by } }) => [b.scale(dy, { by })],
  cost: ([x]) => costOf(2 * size(x), x, x),
  reference([x], y, { by, plus = 0 }) {
    for (let i = 0; i < y.data.length; i++) y.data[i] = by * x.data[i]! + plus;
  },
  samples: [
    { shapes: [[2, 3]], attributes: { by: -2 } },
    { shapes: [[5, 33]], attributes: { by: 0.25, plus: 3 } },
    { shapes: [[1, 1]], attributes: { by: 0.25, plus: -1 } },
  ],
};

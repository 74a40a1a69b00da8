/** argmax — the channel of each row's largest number; of equal ones the first. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectRank } from "./shapes.ts";

export const argmax: Op<1, {}> = {
  name: "argmax",
  arity: 1,
  attributes: {},
  type: "i32",
  shape([x]) {
    expectRank("argmax", "x", x, 2);
    return [x[0]!];
  },
  gradient: "none",
  cost: ([x]) => costOf(size(x), x, [x[0]!]),
  reference([x], y) {
    const width = x.shape[1]!;
    for (let t = 0; t < y.data.length; t++) {
      let best = 0;
      for (let c = 1; c < width; c++) if (x.data[t * width + c]! > x.data[t * width + best]!) best = c;
      y.data[t] = best;
    }
  },
  samples: [
    { shapes: [[3, 5]], attributes: {} },
    { shapes: [[4, 67]], attributes: {} },
    { shapes: [[2, 4]], attributes: {}, domains: [{ exactly: [1, 3, 3, 0, -1, -1, -2, -1] }] },
    { shapes: [[1, 1]], attributes: {} },
  ],
};

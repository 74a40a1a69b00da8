/** toFloat — whole numbers as f32. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";

export const toFloat: Op<1, {}> = {
  name: "toFloat",
  arity: 1,
  attributes: {},
  inputTypes: ["i32"],
  shape: ([x]) => x,
  gradient: "none",
  cost: ([x]) => costOf(size(x), x, x),
  reference([x], y) {
    y.data.set(x.data);
  },
  samples: [
    { shapes: [[5]], attributes: {}, domains: [{ exactly: [0, 1, -1, 7, 100000] }] },
    { shapes: [[3, 11]], attributes: {}, domains: [{ below: 50 }] },
  ],
};

/** routeIds — the `count` experts with the largest scores for each row, largest first; of equal ones the lower number. */
import { printDim } from "../graph/dim.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { type Op, ShapeError } from "./op.ts";
import { expectRank, fixed } from "./shapes.ts";

export const routeIds: Op<1, { readonly count: number }> = {
  name: "routeIds",
  arity: 1,
  attributes: { count: "integer" },
  type: "i32",
  shape([logits], { count }) {
    expectRank("routeIds", "logits", logits, 2);
    if (count < 1 || count > fixed("routeIds", "the number of experts", logits[1]!))
      throw new ShapeError(`routeIds: count must be 1 to ${printDim(logits[1]!)}, got ${count}`);
    return [logits[0]!, count];
  },
  gradient: "none",
  cost: ([logits], { count }) => costOf(count * size(logits), logits, [logits[0]!, count]),
  reference([logits], y, { count }) {
    const experts = logits.shape[1]!;
    for (let t = 0; t < logits.shape[0]!; t++) {
      const score = (e: number): number => logits.data[t * experts + e]!;
      const order = Array.from({ length: experts }, (_, e) => e).sort((a, b) => score(b) - score(a) || a - b);
      y.data.set(order.slice(0, count), t * count);
    }
  },
  samples: [
    { shapes: [[3, 8]], attributes: { count: 2 } },
    { shapes: [[5, 7]], attributes: { count: 3 } },
    { shapes: [[2, 4]], attributes: { count: 2 }, domains: [{ exactly: [1, 3, 3, 3, 0, 0, 0, 0] }] },
    { shapes: [[3, 3]], attributes: { count: 3 } },
    { shapes: [[1, 1]], attributes: { count: 1 } },
    { shapes: [[2, 4099]], attributes: { count: 20 } },
  ],
};

/** oneHot — a row for each id: 1 at the id, 0 elsewhere; all 0 where the id is negative. */
import { costOf } from "./cost.ts";
import { idAt } from "./ids.ts";
import type { Op } from "./op.ts";
import { expectRank } from "./shapes.ts";

export const oneHot: Op<1, { readonly count: number }> = {
  name: "oneHot",
  arity: 1,
  attributes: { count: "integer" },
  inputTypes: ["i32"],
  shape([ids], { count }) {
    expectRank("oneHot", "ids", ids, 1);
    return [ids[0]!, count];
  },
  gradient: "none",
  cost: ([ids], { count }) => costOf(0, ids, [ids[0]!, count]),
  reference([ids], y, { count }) {
    y.data.fill(0);
    for (let i = 0; i < ids.data.length; i++) if (ids.data[i]! >= 0) y.data[i * count + idAt("oneHot", ids.data, i, count)] = 1;
  },
  samples: [
    { shapes: [[4]], attributes: { count: 3 }, domains: [{ exactly: [2, -1, 0, 2] }] },
    { shapes: [[1]], attributes: { count: 17 }, domains: [{ exactly: [16] }] },
  ],
};

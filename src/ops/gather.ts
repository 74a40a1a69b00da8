/** gather — the rows of a table that ids name: embeddings, and the rows whose results are read. */
import { costOf } from "./cost.ts";
import { idAt } from "./ids.ts";
import type { Op } from "./op.ts";
import { expectRank } from "./shapes.ts";

export const gather: Op<2, {}> = {
  name: "gather",
  arity: 2,
  attributes: {},
  inputTypes: ["f32", "i32"],
  shape([table, ids]) {
    expectRank("gather", "table", table, 2);
    expectRank("gather", "ids", ids, 1);
    return [ids[0]!, table[1]!];
  },
  gradient: ({ b, x: [table, ids], dy }) => [b.scatterAdd(dy, ids, { rows: table.shape[0]! }), undefined],
  cost: ([table, ids]) => costOf(0, ids, [ids[0]!, table[1]!], [ids[0]!, table[1]!]),
  reference([table, ids], y) {
    const [count, width] = [table.shape[0]!, table.shape[1]!];
    for (let i = 0; i < ids.data.length; i++) {
      const from = idAt("gather", ids.data, i, count) * width;
      y.data.set(table.data.subarray(from, from + width), i * width);
    }
  },
  samples: [
    { shapes: [[5, 3], [4]], attributes: {}, domains: ["normal", { below: 5 }] },
    { shapes: [[1, 33], [7]], attributes: {}, domains: ["normal", { below: 1 }] },
    { shapes: [[9, 1], [1]], attributes: {}, domains: ["normal", { exactly: [8] }] },
  ],
};

/** scatterAdd — rows added up by their ids: y[id] is the sum of the rows of x with that id; the reverse of gather. */
import type { Dim } from "../graph/dim.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { idAt } from "./ids.ts";
import type { Op } from "./op.ts";
import { expectDims, expectRank, known } from "./shapes.ts";

export const scatterAdd: Op<2, { readonly rows: Dim }> = {
  name: "scatterAdd",
  arity: 2,
  attributes: { rows: "dim" },
  inputTypes: ["f32", "i32"],
  shape([x, ids], { rows }) {
    expectRank("scatterAdd", "x", x, 2);
    expectDims("scatterAdd", "ids", ids, [x[0]!]);
    return [rows, x[1]!];
  },
  gradient: ({ b, x: [, ids], dy }) => [b.gather(dy, ids), undefined],
  cost: ([x, ids], { rows }) => costOf(size(x), x, ids, [known(rows), x[1]!]),
  reference([x, ids], y) {
    const [count, width] = [y.shape[0]!, y.shape[1]!];
    y.data.fill(0);
    for (let i = 0; i < ids.data.length; i++) {
      const to = idAt("scatterAdd", ids.data, i, count) * width;
      for (let c = 0; c < width; c++) y.data[to + c]! += x.data[i * width + c]!;
    }
  },
  samples: [
    { shapes: [[4, 3], [4]], attributes: { rows: 3 }, domains: ["normal", { exactly: [2, 0, 2, 2] }] },
    { shapes: [[7, 33], [7]], attributes: { rows: 5 }, domains: ["normal", { below: 5 }] },
    { shapes: [[1, 1], [1]], attributes: { rows: 1 }, domains: ["normal", { below: 1 }] },
  ],
};

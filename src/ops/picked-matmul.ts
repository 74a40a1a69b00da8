/** pickedMatmul — some elements of x · wᵀ: in place j of row r, that of the row of w that ids[r][j] names. Exactly what `matmul` gives there. */
import { costOf } from "./cost.ts";
import { idAt } from "./ids.ts";
import type { Op } from "./op.ts";
import { expectDim, expectRank } from "./shapes.ts";

export const pickedMatmul: Op<3, {}> = {
  name: "pickedMatmul",
  arity: 3,
  attributes: {},
  inputTypes: ["f32", "f32", "i32"],
  shape([x, w, ids]) {
    expectRank("pickedMatmul", "x", x, 2);
    expectRank("pickedMatmul", "w", w, 2);
    expectRank("pickedMatmul", "ids", ids, 2);
    expectDim("pickedMatmul", "the last size of w", w[1]!, x[1]!);
    expectDim("pickedMatmul", "the rows of ids", ids[0]!, x[0]!);
    return ids;
  },
  gradient: "unsupported",
  cost: ([x, w, ids]) => costOf(2 * ids[0]! * ids[1]! * w[1]!, x, [ids[0]!, ids[1]!, w[1]!], ids, ids),
  reference([x, w, ids], y) {
    const [inner, each, outputs] = [x.shape[1]!, ids.shape[1]!, w.shape[0]!];
    for (let i = 0; i < ids.data.length; i++) {
      const n = idAt("pickedMatmul", ids.data, i, outputs);
      const row = Math.floor(i / each);
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x.data[row * inner + k]! * w.data[n * inner + k]!;
      y.data[i] = sum;
    }
  },
  samples: [
    {
      shapes: [
        [2, 3],
        [5, 3],
        [2, 4],
      ],
      attributes: {},
      domains: ["normal", "normal", { below: 5 }],
    },
    {
      shapes: [
        [3, 33],
        [17, 33],
        [3, 1],
      ],
      attributes: {},
      domains: ["normal", "normal", { below: 17 }],
    },
    {
      shapes: [
        [1, 1],
        [1, 1],
        [1, 2],
      ],
      attributes: {},
      domains: ["normal", "normal", { exactly: [0, 0] }],
    },
  ],
};

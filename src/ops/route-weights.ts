/** routeWeights — the softmax over all experts, read at the chosen ones, and where `normalize` is set divided by its sum there. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { flattened } from "./experts.ts";
import { idAt } from "./ids.ts";
import { largest } from "./lines.ts";
import type { Op } from "./op.ts";
import { expectDim, expectRank, fixed } from "./shapes.ts";

export const routeWeights: Op<2, { readonly normalize: boolean }> = {
  name: "routeWeights",
  arity: 2,
  attributes: { normalize: "boolean" },
  inputTypes: ["f32", "i32"],
  shape([logits, ids]) {
    expectRank("routeWeights", "logits", logits, 2);
    expectRank("routeWeights", "ids", ids, 2);
    fixed("routeWeights", "the number of experts", logits[1]!);
    expectDim("routeWeights", "the rows of ids", ids[0]!, logits[0]!);
    return ids;
  },
  gradient: "decomposition",
  decompose({ b, x: [logits, ids], attributes: { normalize } }) {
    const [rows, experts] = [logits.shape[0]!, logits.shape[1]! as number];
    const hot = b.reshape(b.oneHot(flattened(b, ids), { count: experts }), { shape: [rows, ids.shape[1]!, experts] });
    const shares = b.reshape(b.softmax(logits), { shape: [rows, 1, experts] });
    const chosen = b.reshape(b.sum(b.mul(hot, shares), { axis: 2 }), { shape: ids.shape });
    return normalize ? b.div(chosen, b.sum(chosen, { axis: 1 })) : chosen;
  },
  cost: ([logits, ids]) => costOf(13 * size(logits) + size(ids), logits, ids, ids),
  reference([logits, ids], y, { normalize }) {
    const [experts, count] = [logits.shape[1]!, ids.shape[1]!];
    for (let t = 0; t < logits.shape[0]!; t++) {
      const row = logits.data.subarray(t * experts, (t + 1) * experts);
      const peak = largest(row);
      const chosen = Array.from({ length: count }, (_, j) => Math.exp(row[idAt("routeWeights", ids.data, t * count + j, experts)]! - peak));
      let sum = 0;
      for (const power of normalize ? chosen : Array.from(row, (v) => Math.exp(v - peak))) sum += power;
      chosen.forEach((power, j) => (y.data[t * count + j] = power / sum));
    }
  },
  samples: [
    {
      shapes: [
        [3, 5],
        [3, 2],
      ],
      attributes: { normalize: false },
      domains: ["normal", { exactly: [4, 0, 1, 2, 3, 0] }],
    },
    {
      shapes: [
        [3, 5],
        [3, 2],
      ],
      attributes: { normalize: true },
      domains: ["normal", { exactly: [4, 0, 1, 2, 3, 0] }],
    },
    {
      shapes: [
        [2, 9],
        [2, 3],
      ],
      attributes: { normalize: true },
      domains: ["normal", { exactly: [8, 0, 1, 2, 3, 0] }],
    },
    {
      shapes: [
        [1, 1],
        [1, 1],
      ],
      attributes: { normalize: false },
      domains: ["normal", { exactly: [0] }],
    },
  ],
};

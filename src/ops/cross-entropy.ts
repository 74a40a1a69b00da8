/** crossEntropy — −log softmax(logits)[target], row by row; rows whose target is negative lose nothing. */
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { idAt } from "./ids.ts";
import { largest } from "./lines.ts";
import type { Op } from "./op.ts";
import { expectDims, expectRank, fixed } from "./shapes.ts";

export const crossEntropy: Op<2, {}> = {
  name: "crossEntropy",
  arity: 2,
  attributes: {},
  inputTypes: ["f32", "i32"],
  shape([logits, targets]) {
    expectRank("crossEntropy", "logits", logits, 2);
    fixed("crossEntropy", "the vocabulary", logits[1]!);
    expectDims("crossEntropy", "targets", targets, [logits[0]!]);
    return [logits[0]!, 1];
  },
  gradient({ b, x: [logits, targets], dy }) {
    const hot = b.oneHot(targets, { count: logits.shape[1]! as number });
    const counted = b.sum(hot, { axis: 1 });
    return [b.mul(b.sub(b.softmax(logits), hot), b.mul(dy, counted)), undefined]; // (softmax − target) · dy
  },
  decompose({ b, x: [logits, targets] }) {
    const hot = b.oneHot(targets, { count: logits.shape[1]! as number });
    const shifted = b.sub(logits, b.peak(logits, { axis: 1 }));
    const loss = b.sub(b.log(b.sum(b.exp(shifted), { axis: 1 })), b.sum(b.mul(shifted, hot), { axis: 1 }));
    return b.mul(loss, b.sum(hot, { axis: 1 }));
  },
  cost: ([logits, targets]) => costOf(13 * size(logits), logits, targets, [logits[0]!, 1]),
  reference([logits, targets], y) {
    const count = logits.shape[1]!;
    for (let t = 0; t < targets.data.length; t++) {
      y.data[t] = 0;
      if (targets.data[t]! < 0) continue;
      const row = logits.data.subarray(t * count, (t + 1) * count);
      const peak = largest(row);
      let sum = 0;
      for (const v of row) sum += Math.exp(v - peak);
      y.data[t] = Math.log(sum) + peak - row[idAt("crossEntropy", targets.data, t, count)]!;
    }
  },
  samples: [
    { shapes: [[3, 5], [3]], attributes: {}, domains: ["normal", { exactly: [4, 0, 2] }] },
    { shapes: [[4, 33], [4]], attributes: {}, domains: ["normal", { exactly: [32, -1, 0, 7] }] },
    { shapes: [[1, 1], [1]], attributes: {}, domains: ["normal", { exactly: [0] }] },
  ],
};

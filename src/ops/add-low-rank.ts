/**
 * addLowRank — y + B A x with the A and B of each row's own slot: many adapters in one batch, as in Punica (Chen et al. 2023, arXiv 2310.18547)
 * and S-LoRA (Sheng et al. 2023, arXiv 2311.03285). Rows of slot -1 are y as it is.
 *
 * Numbers lie along the outputs, so that a rank below the largest costs its own part only: slot s of a begins with A transposed, [inputs, r]
 * where r is ranks[s], and slot s of b with B transposed, [r, outputs]; what follows is never read.
 */
import { FrugalError } from "../tensor/error.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { idAt } from "./ids.ts";
import type { Op } from "./op.ts";
import { expectDim, expectDims, expectRank } from "./shapes.ts";

export const addLowRank: Op<6, {}> = {
  name: "addLowRank",
  arity: 6,
  attributes: {},
  inputTypes: ["f32", "f32", "f32", "f32", "f32", "i32"],
  slotInputs: [2, 3, 4],
  shape([y, x, a, b, ranks, slots]) {
    expectRank("addLowRank", "y", y, 2);
    expectRank("addLowRank", "x", x, 2);
    expectRank("addLowRank", "a", a, 3);
    expectDim("addLowRank", "the rows of x", x[0]!, y[0]!);
    expectDims("addLowRank", "a", a, [a[0]!, x[1]!, a[2]!]);
    expectDims("addLowRank", "b", b, [a[0]!, a[2]!, y[1]!]);
    expectDims("addLowRank", "ranks", ranks, [a[0]!]);
    expectDims("addLowRank", "slots", slots, [y[0]!]);
    return y;
  },
  gradient: "unsupported",
  cost([y, x, a, b, ranks, slots]) {
    const used = Math.min(a[0]!, y[0]!);
    const products = y[0]! * a[2]! * (x[1]! + y[1]!);
    return costOf(2 * products, y, y, x, [used, size(a.slice(1)) + size(b.slice(1))], ranks, slots);
  },
  reference([y, x, a, b, ranks, slots], result) {
    const [inputs, most, outputs] = [a.shape[1]!, a.shape[2]!, y.shape[1]!];
    result.data.set(y.data);
    const few = new Float32Array(most);
    for (let t = 0; t < y.shape[0]!; t++) {
      if (slots.data[t] === -1) continue;
      const slot = idAt("addLowRank", slots.data, t, a.shape[0]!);
      const rank = rankAt(ranks.data, slot, most);
      for (let r = 0; r < rank; r++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) sum += x.data[t * inputs + i]! * a.data[slot * inputs * most + i * rank + r]!;
        few[r] = sum;
      }
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let r = 0; r < rank; r++) sum += few[r]! * b.data[(slot * most + r) * outputs + o]!;
        result.data[t * outputs + o] = y.data[t * outputs + o]! + Math.fround(sum);
      }
    }
  },
  samples: [
    {
      shapes: [[5, 4], [5, 3], [2, 3, 2], [2, 2, 4], [2], [5]],
      attributes: {},
      domains: ["normal", "normal", "normal", "normal", { exactly: [2, 1] }, { exactly: [0, 0, -1, 1, 1] }],
    },
    {
      shapes: [[3, 33], [3, 65], [4, 65, 17], [4, 17, 33], [4], [3]],
      attributes: {},
      domains: ["normal", "normal", "normal", "normal", { exactly: [17, 0, 5, 16] }, { exactly: [3, 1, 2] }],
    },
    {
      shapes: [[9, 16], [9, 32], [1, 32, 16], [1, 16, 16], [1], [9]],
      attributes: {},
      domains: ["normal", "normal", "normal", "normal", { exactly: [16] }, { exactly: [0, 0, 0, 0, 0, 0, 0, 0, 0] }],
    },
    {
      shapes: [[1, 1], [1, 1], [1, 1, 1], [1, 1, 1], [1], [1]],
      attributes: {},
      domains: ["normal", "normal", "normal", "normal", { exactly: [1] }, { exactly: [-1] }],
    },
  ],
};

function rankAt(ranks: ArrayLike<number>, slot: number, most: number): number {
  const rank = ranks[slot]!;
  if (Number.isInteger(rank) && rank >= 0 && rank <= most) return rank;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `addLowRank: the rank of slot ${slot} is ${rank}; it may be 0 to ${most}`, { slot, rank });
}

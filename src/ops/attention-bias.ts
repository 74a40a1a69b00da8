/** attentionBias — what attention adds to the scores of rows of sequences: slope · (j − i) where row i sees row j, −∞ elsewhere. */
import type { Dim } from "../graph/dim.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectRank, known } from "./shapes.ts";

export interface AttentionBiasAttributes {
  readonly rows: Dim;
  readonly causal: boolean;
  readonly window?: number | undefined;
  readonly slope?: number | undefined;
}

const domains = [{ exactly: [0, 3, 4, 9] }];

export const attentionBias: Op<1, AttentionBiasAttributes> = {
  name: "attentionBias",
  arity: 1,
  attributes: { rows: "dim", causal: "boolean", window: "integer?", slope: "number?" },
  inputTypes: ["i32"],
  shape([rowOffsets], { rows }) {
    expectRank("attentionBias", "rowOffsets", rowOffsets, 1);
    return [rows, rows];
  },
  gradient: "none",
  cost: ([rowOffsets], { rows }) => costOf(known(rows) ** 2, rowOffsets, [known(rows), known(rows)]),
  reference([rowOffsets], y, { causal, window = Infinity, slope = 0 }) {
    const rows = y.shape[0]!;
    y.data.fill(-Infinity);
    for (let s = 0; s + 1 < rowOffsets.data.length; s++)
      for (let i = rowOffsets.data[s]!; i < rowOffsets.data[s + 1]!; i++)
        for (let j = rowOffsets.data[s]!; j < (causal ? i + 1 : rowOffsets.data[s + 1]!); j++)
          if (i - j < window) y.data[i * rows + j] = slope * (j - i);
  },
  samples: [
    { shapes: [[4]], attributes: { rows: 9, causal: true }, domains },
    { shapes: [[4]], attributes: { rows: 9, causal: false, window: 2 }, domains },
    { shapes: [[4]], attributes: { rows: 9, causal: true, window: 3, slope: 0.5 }, domains },
    { shapes: [[2]], attributes: { rows: 1, causal: true }, domains: [{ exactly: [0, 1] }] },
  ],
};

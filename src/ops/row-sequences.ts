/** rowSequences — for each row the number of the sequence it belongs to: s where rowOffsets[s] ≤ row < rowOffsets[s+1]. */
import type { Dim } from "../graph/dim.ts";
import { costOf } from "./cost.ts";
import type { Op } from "./op.ts";
import { expectRank, known } from "./shapes.ts";

export const rowSequences: Op<1, { readonly rows: Dim }> = {
  name: "rowSequences",
  arity: 1,
  attributes: { rows: "dim" },
  inputTypes: ["i32"],
  type: "i32",
  shape([rowOffsets], { rows }) {
    expectRank("rowSequences", "rowOffsets", rowOffsets, 1);
    return [rows];
  },
  gradient: "none",
  cost: ([rowOffsets], { rows }) => costOf(0, rowOffsets, [known(rows)]),
  reference([rowOffsets], y) {
    for (let s = 0; s + 1 < rowOffsets.data.length; s++) y.data.fill(s, rowOffsets.data[s], rowOffsets.data[s + 1]);
  },
  samples: [
    { shapes: [[4]], attributes: { rows: 9 }, domains: [{ exactly: [0, 3, 4, 9] }] },
    { shapes: [[2]], attributes: { rows: 1 }, domains: [{ exactly: [0, 1] }] },
  ],
};

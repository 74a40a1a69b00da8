/** pool — one row for each sequence: the mean of its rows, its first or its last. Sequences are not empty. */
import type { Value } from "../graph/value.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Builder, Op } from "./op.ts";
import { expectRank, minus } from "./shapes.ts";
import { filled } from "./spread.ts";

type PoolKind = "mean" | "first" | "last";
const kinds: readonly PoolKind[] = ["mean", "first", "last"];

export const pool: Op<2, { readonly kind: PoolKind }> = {
  name: "pool",
  arity: 2,
  attributes: { kind: kinds },
  inputTypes: ["f32", "i32"],
  shape([x, rowOffsets]) {
    expectRank("pool", "x", x, 2);
    expectRank("pool", "rowOffsets", rowOffsets, 1);
    return [minus(rowOffsets[0]!, 1), x[1]!];
  },
  gradient: "decomposition",
  decompose: ({ b, x: [x, rowOffsets], attributes: { kind } }) => decomposed(b, x, rowOffsets, kind),
  cost: ([x, rowOffsets]) => costOf(size(x), x, rowOffsets, [rowOffsets[0]! - 1, x[1]!]),
  reference([x, rowOffsets], y, { kind }) {
    const width = x.shape[1]!;
    for (let s = 0; s + 1 < rowOffsets.data.length; s++) {
      const [start, end] = [rowOffsets.data[s]!, rowOffsets.data[s + 1]!];
      const [first, last] = kind === "mean" ? [start, end] : kind === "first" ? [start, start + 1] : [end - 1, end];
      for (let c = 0; c < width; c++) {
        let sum = 0;
        for (let t = first; t < last; t++) sum += x.data[t * width + c]!;
        y.data[s * width + c] = sum / (last - first);
      }
    }
  },
  samples: [
    ...kinds.map((kind) => ({ shapes: [[9, 7], [4]], attributes: { kind }, domains: ["normal", { exactly: [0, 3, 4, 9] }] }) as const),
    { shapes: [[1, 33], [2]], attributes: { kind: "mean" }, domains: ["normal", { exactly: [0, 1] }] },
  ],
};

function decomposed(b: Builder, x: Value, rowOffsets: Value, kind: PoolKind): Value {
  const rows = minus(rowOffsets.shape[0]!, 1);
  const starts = b.slice(rowOffsets, { axis: 0, start: 0, length: rows });
  const ends = b.slice(rowOffsets, { axis: 0, start: 1, length: rows });
  if (kind === "first") return b.gather(x, starts);
  // A row of zeros before the others: row `end` there is row `end − 1` here.
  if (kind === "last") return b.gather(b.concat([filled(b, 0, [1, x.shape[1]!]), x], { axis: 0 }), ends);
  const counts = b.sub(b.toFloat(ends), b.toFloat(starts));
  const sums = b.scatterAdd(x, b.rowSequences(rowOffsets, { rows: x.shape[0]! }), { rows });
  return b.div(sums, b.reshape(counts, { shape: [rows, 1] }));
}

/** attentionGradient — the gradient of `attention` for its queries, keys or values, from its inputs alone: scores are computed again. */
import type { Dims } from "../graph/dim.ts";
import { attentionFlops, attentionRules } from "./attend.ts";
import { attention, attentionSamples, type RowAttentionAttributes } from "./attention.ts";
import { costOf } from "./cost.ts";
import type { Op, Tensor } from "./op.ts";
import { expectDims } from "./shapes.ts";

const kinds = ["query", "key", "value"] as const;

export interface AttentionGradientAttributes extends RowAttentionAttributes {
  readonly of: (typeof kinds)[number];
}

export const attentionGradient: Op<5, AttentionGradientAttributes> = {
  name: "attentionGradient",
  arity: 5,
  attributes: { ...attentionRules, causal: "boolean", of: kinds },
  inputTypes: ["f32", "f32", "f32", "i32", "f32"],
  shape([q, k, v, rowOffsets, dy], { of, ...attributes }): Dims {
    expectDims("attentionGradient", "dy", dy, attention.shape([q, k, v, rowOffsets], attributes));
    return { query: q, key: k, value: v }[of];
  },
  gradient: "unsupported",
  cost([q, k, v, , dy], attributes) {
    const pairs = attributes.causal ? (q[0]! * (q[0]! + 1)) / 2 : q[0]! * q[0]!;
    return costOf(2.5 * attentionFlops(pairs, attributes, v[1]! / attributes.keyValueHeads), q, k, v, dy, q);
  },
  reference([q, k, v, rowOffsets, dy], y, attributes) {
    y.data.fill(0);
    for (let s = 0; s + 1 < rowOffsets.data.length; s++)
      for (let t = rowOffsets.data[s]!; t < rowOffsets.data[s + 1]!; t++) {
        const end = attributes.causal ? t + 1 : rowOffsets.data[s + 1]!;
        const start = Math.max(rowOffsets.data[s]!, t - (attributes.window ?? Infinity) + 1);
        for (let head = 0; head < attributes.heads; head++) addRow([q, k, v, dy], y, t, head, start, end, attributes);
      }
  },
  samples: attentionSamples.flatMap(({ shapes: [q, k, v, offsets], attributes, domains }) =>
    kinds.map((of) => ({
      shapes: [q, k, v, offsets, [q[0]!, (v[1]! / attributes.keyValueHeads) * attributes.heads]] as const,
      attributes: { ...attributes, of },
      domains: [...domains, "normal" as const],
    })),
  ),
};

/** What one row and head add: with p = softmax(s) and g = dy · v, ds = p (g − Σ p g). */
function addRow(
  [q, k, v, dy]: readonly [Tensor, Tensor, Tensor, Tensor],
  y: Tensor,
  t: number,
  head: number,
  start: number,
  end: number,
  { heads, keyValueHeads, headSize, scale, softcap, slopes, of }: AttentionGradientAttributes,
): void {
  const shared = Math.floor((head * keyValueHeads) / heads);
  const valueSize = v.shape[1]! / keyValueHeads;
  const [queryAt, upperAt] = [(t * heads + head) * headSize, (t * heads + head) * valueSize];
  const keyAt = (j: number): number => (j * keyValueHeads + shared) * headSize;
  const valueAt = (j: number): number => (j * keyValueHeads + shared) * valueSize;
  const rows = Array.from({ length: end - start }, (_, i) => {
    const j = start + i;
    let [raw, gain] = [0, 0];
    for (let d = 0; d < headSize; d++) raw += q.data[queryAt + d]! * k.data[keyAt(j) + d]!;
    for (let d = 0; d < valueSize; d++) gain += dy.data[upperAt + d]! * v.data[valueAt(j) + d]!;
    const bent = softcap === undefined ? raw * scale : softcap * Math.tanh((raw * scale) / softcap);
    const slant = softcap === undefined ? scale : scale * (1 - (bent / softcap) ** 2);
    return { j, gain, slant, score: bent + (slopes === undefined ? 0 : slopes[head]! * (j - t)) };
  });
  const peak = Math.max(...rows.map(({ score }) => score));
  const total = rows.reduce((sum, { score }) => sum + Math.exp(score - peak), 0);
  const share = (score: number): number => Math.exp(score - peak) / total;
  const mean = rows.reduce((sum, { score, gain }) => sum + share(score) * gain, 0);
  for (const { j, gain, slant, score } of rows) {
    const error = share(score) * (gain - mean) * slant;
    if (of === "query") for (let d = 0; d < headSize; d++) y.data[queryAt + d]! += error * k.data[keyAt(j) + d]!;
    if (of === "key") for (let d = 0; d < headSize; d++) y.data[keyAt(j) + d]! += error * q.data[queryAt + d]!;
    if (of === "value") for (let d = 0; d < valueSize; d++) y.data[valueAt(j) + d]! += share(score) * dy.data[upperAt + d]!;
  }
}

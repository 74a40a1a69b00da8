/**
 * attention — each row attends over the rows of its own sequence: y = Σⱼ softmaxⱼ(scale · q·kⱼ) vⱼ, head by head
 * (Vaswani et al. 2017, arXiv 1706.03762). Sequence s has the rows rowOffsets[s] to rowOffsets[s+1].
 */
import type { Value } from "../graph/value.ts";
import { type AttentionAttributes, attendRow, attentionFlops, attentionRules, attentionShape } from "./attend.ts";
import { costOf } from "./cost.ts";
import type { Builder, Domain, Op, Sample } from "./op.ts";
import { expectRank } from "./shapes.ts";

/** Not causal: a row also sees the rows after it. */
export interface RowAttentionAttributes extends AttentionAttributes {
  readonly causal: boolean;
}

const small = { heads: 2, keyValueHeads: 2, headSize: 4, scale: 0.5, causal: true };
const grouped = { heads: 4, keyValueHeads: 2, headSize: 3, scale: 0.6, causal: true };
const ragged = { exactly: [0, 3, 4, 9] };

type AttentionSample = Sample<4, RowAttentionAttributes> & { readonly domains: readonly Domain[] };

/** Also those of its gradient. */
export const attentionSamples: readonly AttentionSample[] = [
  { shapes: [[5, 8], [5, 8], [5, 8], [2]], attributes: small, domains: ["normal", "normal", "normal", { exactly: [0, 5] }] },
  { shapes: [[9, 8], [9, 8], [9, 8], [4]], attributes: { ...small, causal: false }, domains: ["normal", "normal", "normal", ragged] },
  { shapes: [[9, 12], [9, 6], [9, 10], [4]], attributes: grouped, domains: ["normal", "normal", "normal", ragged] },
  {
    shapes: [[9, 12], [9, 3], [9, 5], [4]],
    attributes: { ...grouped, keyValueHeads: 1, window: 2 },
    domains: ["normal", "normal", "normal", ragged],
  },
  {
    shapes: [[9, 12], [9, 6], [9, 6], [4]],
    attributes: { ...grouped, window: 3, causal: false },
    domains: ["normal", "normal", "normal", ragged],
  },
  { shapes: [[9, 12], [9, 6], [9, 6], [4]], attributes: { ...grouped, softcap: 1.5 }, domains: ["normal", "normal", "normal", ragged] },
  {
    shapes: [[9, 12], [9, 6], [9, 6], [4]],
    attributes: { ...grouped, slopes: [0.5, 0.25, 0.125, 0.0625], window: 4 },
    domains: ["normal", "normal", "normal", ragged],
  },
  { shapes: [[1, 8], [1, 8], [1, 8], [2]], attributes: small, domains: ["normal", "normal", "normal", { exactly: [0, 1] }] },
  {
    shapes: [[9, 12], [9, 6], [9, 10], [4]],
    attributes: { ...grouped, heads: 2, keyValueHeads: 1, headSize: 6 },
    domains: ["normal", "normal", "normal", ragged],
  },
];

export const attention: Op<4, RowAttentionAttributes> = {
  name: "attention",
  arity: 4,
  attributes: { ...attentionRules, causal: "boolean" },
  inputTypes: ["f32", "f32", "f32", "i32"],
  shape([q, k, v, rowOffsets], attributes) {
    expectRank("attention", "rowOffsets", rowOffsets, 1);
    return attentionShape("attention", q, k, v, attributes);
  },
  gradient: ({ b, x: [q, k, v, rowOffsets], dy, attributes }) => [
    b.attentionGradient(q, k, v, rowOffsets, dy, { ...attributes, of: "query" }),
    b.attentionGradient(q, k, v, rowOffsets, dy, { ...attributes, of: "key" }),
    b.attentionGradient(q, k, v, rowOffsets, dy, { ...attributes, of: "value" }),
    undefined,
  ],
  decompose: ({ b, x: [q, k, v, rowOffsets], attributes }) => decomposed(b, q, k, v, rowOffsets, attributes),
  cost([q, k, v], attributes) {
    const pairs = attributes.causal ? (q[0]! * (q[0]! + 1)) / 2 : q[0]! * q[0]!;
    const valueSize = v[1]! / attributes.keyValueHeads;
    return costOf(attentionFlops(pairs, attributes, valueSize), q, k, v, [q[0]!, attributes.heads * valueSize]);
  },
  reference([q, k, v, rowOffsets], y, attributes) {
    const context = { keys: k.data, values: v.data, valueSize: v.shape[1]! / attributes.keyValueHeads, row: (j: number) => j };
    for (let s = 0; s + 1 < rowOffsets.data.length; s++) {
      const [start, end] = [rowOffsets.data[s]!, rowOffsets.data[s + 1]!];
      for (let t = start; t < end; t++) attendRow(q, y, t, context, t, start, attributes.causal ? t + 1 : end, attributes);
    }
  },
  samples: attentionSamples,
};

function decomposed(b: Builder, q: Value, k: Value, v: Value, rowOffsets: Value, attributes: RowAttentionAttributes): Value {
  const { heads, keyValueHeads, headSize, scale, causal, window, softcap, slopes } = attributes;
  const rows = q.shape[0]!;
  const valueSize = (v.shape[1]! as number) / keyValueHeads;
  const head = (x: Value, index: number, size: number): Value => b.slice(x, { axis: 1, start: index * size, length: size });
  const bias = (slope: number | undefined): Value => b.attentionBias(rowOffsets, { rows, causal, window, slope });
  const shared = slopes === undefined ? bias(undefined) : undefined;
  const mixed = Array.from({ length: heads }, (_, h) => {
    const group = Math.floor((h * keyValueHeads) / heads);
    const raw = b.scale(b.matmul(head(q, h, headSize), head(k, group, headSize)), { by: scale });
    const scores = softcap === undefined ? raw : b.scale(b.tanh(b.scale(raw, { by: 1 / softcap })), { by: softcap });
    const shares = b.softmax(b.add(scores, shared ?? bias(slopes![h])));
    return b.matmul(shares, b.transpose(head(v, group, valueSize)));
  });
  return b.concat(mixed, { axis: 1 });
}

/** What attention over rows and attention over the cache share: attributes, shapes, and one row and head in plain words. */
import type { Dims } from "../graph/dim.ts";
import type { AttributeRule } from "../graph/rule.ts";
import { ShapeError, type Tensor } from "./op.ts";
import { divided, expectDim, expectRank } from "./shapes.ts";

export interface AttentionAttributes {
  readonly heads: number;
  /** Fewer than heads: each serves heads / keyValueHeads of them. */
  readonly keyValueHeads: number;
  readonly headSize: number;
  /** The scores are multiplied by it; usually 1/√headSize. */
  readonly scale: number;
  /** A row at position p sees positions above p − window only. */
  readonly window?: number | undefined;
  /** score = softcap · tanh(score / softcap) (Gemma 2). */
  readonly softcap?: number | undefined;
  /** By head: score += slope · (j − p) (ALiBi, Press et al. 2021, arXiv 2108.12409). */
  readonly slopes?: readonly number[] | undefined;
}

export const attentionRules: { readonly [Name in keyof AttentionAttributes]-?: AttributeRule } = {
  heads: "integer",
  keyValueHeads: "integer",
  headSize: "integer",
  scale: "number",
  window: "integer?",
  softcap: "number?",
  slopes: "numbers?",
};

/** The result's shape [T, heads · valueSize]. */
export function attentionShape(op: string, q: Dims, k: Dims, v: Dims, attributes: AttentionAttributes): Dims {
  const { heads, keyValueHeads, headSize, window, softcap, slopes } = attributes;
  [q, k, v].forEach((x, i) => expectRank(op, "qkv"[i]!, x, 2));
  if (keyValueHeads < 1 || heads % keyValueHeads !== 0)
    throw new ShapeError(`${op}: heads must be a multiple of keyValueHeads, got ${heads} and ${keyValueHeads}`);
  if (window === 0 || (softcap !== undefined && softcap <= 0))
    throw new ShapeError(`${op}: window and softcap must be positive where given`);
  if (slopes !== undefined && slopes.length !== heads)
    throw new ShapeError(`${op}: slopes needs one number for each of ${heads} heads, got ${slopes.length}`);
  expectDim(op, "the channels of q", q[1]!, heads * headSize);
  expectDim(op, "the channels of k", k[1]!, keyValueHeads * headSize);
  expectDim(op, "the rows of k", k[0]!, q[0]!);
  expectDim(op, "the rows of v", v[0]!, q[0]!);
  return [q[0]!, heads * divided(op, "the channels of v", v[1]!, keyValueHeads)];
}

/** Rows of keys and values; `row(j)` is where position j is. */
export interface Context {
  readonly keys: Tensor["data"];
  readonly values: Tensor["data"];
  readonly valueSize: number;
  readonly row: (j: number) => number;
}

/** Fills row `t` of `output` for a query at position `p` that may see positions from `from` up to but not including `to`. */
export function attendRow(
  q: Tensor,
  output: Tensor,
  t: number,
  context: Context,
  p: number,
  from: number,
  to: number,
  attributes: AttentionAttributes,
): void {
  const { heads, keyValueHeads, headSize, scale, window = Infinity, softcap, slopes } = attributes;
  const { keys, values, valueSize, row } = context;
  const first = Math.max(from, p - window + 1);
  const scores: number[] = [];
  for (let head = 0; head < heads; head++) {
    const shared = Math.floor((head * keyValueHeads) / heads);
    let peak = -Infinity;
    for (let j = first; j < to; j++) {
      const [a, b] = [(t * heads + head) * headSize, (row(j) * keyValueHeads + shared) * headSize];
      let score = 0;
      for (let d = 0; d < headSize; d++) score += q.data[a + d]! * keys[b + d]!;
      score *= scale;
      if (softcap !== undefined) score = softcap * Math.tanh(score / softcap);
      if (slopes !== undefined) score += slopes[head]! * (j - p);
      scores[j - first] = score;
      peak = Math.max(peak, score);
    }
    const mixed = new Float64Array(valueSize);
    let sum = 0;
    for (let j = first; j < to; j++) {
      const share = Math.exp(scores[j - first]! - peak);
      const at = (row(j) * keyValueHeads + shared) * valueSize;
      for (let d = 0; d < valueSize; d++) mixed[d]! += share * values[at + d]!;
      sum += share;
    }
    for (let d = 0; d < valueSize; d++) output.data[(t * heads + head) * valueSize + d] = mixed[d]! / sum;
  }
}

/** Additions and multiplications for that many pairs of a query row and a key row. */
export const attentionFlops = (pairs: number, { heads, headSize }: AttentionAttributes, valueSize: number): number =>
  2 * pairs * heads * (headSize + valueSize + 5);

/**
 * cacheAttention — writes k and v of each row into its sequence's pages, then attends over what the pages hold.
 * Row t of sequence s, at position p = positions[t], sees positions j ≤ p, p − j < window, j < contextLengths[s];
 * position j is in row pageTable[s, j / pageSize] · pageSize + j % pageSize of the layer's cache. Always causal.
 */
import { FrugalError } from "../tensor/error.ts";
import type { Shape } from "../tensor/shape.ts";
import { type AttentionAttributes, attendRow, attentionFlops, attentionRules, attentionShape } from "./attend.ts";
import { pageSize } from "./cache.ts";
import { costOf } from "./cost.ts";
import { type Domain, type Each, type Op, ShapeError, type Tensor } from "./op.ts";
import { divided, expectDim, expectDims, expectRank, minus } from "./shapes.ts";

export interface CacheAttentionAttributes extends AttentionAttributes {
  /** Which part of the cache: each use has its own. */
  readonly layer: number;
}

const attributes = { heads: 4, keyValueHeads: 2, headSize: 3, scale: 0.6, layer: 0 };
// Three sequences, each from its first token: 3, 1 and 36 rows, the last over two pages.
const positions = [0, 1, 2, 0, ...Array.from({ length: 36 }, (_, i) => i)];
const domains: readonly Domain[] = [
  "normal",
  "normal",
  "normal",
  { exactly: positions },
  { exactly: [0, 3, 4, 40] },
  { exactly: [3, 1, 36] },
  { exactly: [2, 0, 0, 0, 3, 1] },
];

const shapes = (keys: number, values: number): Each<7, Shape> => [[40, 12], [40, keys], [40, values], [40], [4], [3], [3, 2]];

export const cacheAttention: Op<7, CacheAttentionAttributes> = {
  name: "cacheAttention",
  arity: 7,
  attributes: { ...attentionRules, layer: "integer" },
  inputTypes: ["f32", "f32", "f32", "i32", "i32", "i32", "i32"],
  shape([q, k, v, rowPositions, rowOffsets, contextLengths, pageTable], given) {
    expectDims("cacheAttention", "positions", rowPositions, [q[0]!]);
    expectRank("cacheAttention", "rowOffsets", rowOffsets, 1);
    expectDims("cacheAttention", "contextLengths", contextLengths, [minus(rowOffsets[0]!, 1)]);
    expectRank("cacheAttention", "pageTable", pageTable, 2);
    expectDim("cacheAttention", "the rows of pageTable", pageTable[0]!, contextLengths[0]!);
    return attentionShape("cacheAttention", q, k, v, given);
  },
  gradient: "unsupported",
  keeps: ([, , v], { layer, keyValueHeads, headSize }) => ({
    index: layer,
    pageTable: 6,
    heads: keyValueHeads,
    keySize: headSize,
    valueSize: divided("cacheAttention", "the channels of v", v[1]!, keyValueHeads),
  }),
  cost([q, k, v, , , , pageTable], given) {
    const seen = Math.min(pageTable[1]! * pageSize, given.window ?? Infinity);
    const valueSize = v[1]! / given.keyValueHeads;
    const moved = costOf(attentionFlops(q[0]! * seen, given, valueSize), q, k, v, [q[0]!, given.heads * valueSize]);
    const cached = 4 * pageTable[0]! * seen * (k[1]! + v[1]!);
    return { flops: moved.flops, bytesMoved: moved.bytesMoved + cached };
  },
  reference([q, k, v, rowPositions, rowOffsets, contextLengths, pageTable], y, given, cache) {
    if (cache === undefined) throw new ShapeError("cacheAttention: there is no cache; load the model with cachePages");
    const [keyWidth, valueWidth] = [k.shape[1]!, v.shape[1]!];
    const valueSize = valueWidth / given.keyValueHeads;
    const { pages, keys, values } = cache.layer(given.layer, { heads: given.keyValueHeads, keySize: given.headSize, valueSize });
    for (let s = 0; s + 1 < rowOffsets.data.length; s++) {
      const row = (position: number): number => cacheRow(pageTable, s, position, pages);
      const [start, end] = [rowOffsets.data[s]!, rowOffsets.data[s + 1]!];
      for (let t = start; t < end; t++) {
        const to = row(rowPositions.data[t]!);
        keys.set(k.data.subarray(t * keyWidth, (t + 1) * keyWidth), to * keyWidth);
        values.set(v.data.subarray(t * valueWidth, (t + 1) * valueWidth), to * valueWidth);
      }
      for (let t = start; t < end; t++) {
        const p = rowPositions.data[t]!;
        attendRow(q, y, t, { keys, values, valueSize, row }, p, 0, Math.min(p + 1, contextLengths.data[s]!), given);
      }
    }
  },
  samples: [
    { shapes: shapes(6, 10), attributes, domains },
    { shapes: shapes(6, 6), attributes: { ...attributes, window: 5, layer: 1 }, domains },
    // Rows past the context's length see only what is before it.
    { shapes: shapes(6, 6), attributes: { ...attributes, layer: 6 }, domains: domains.with(5, { exactly: [2, 1, 34] }) },
    { shapes: shapes(6, 6), attributes: { ...attributes, softcap: 1.5, scale: 1, layer: 2 }, domains },
    { shapes: shapes(6, 6), attributes: { ...attributes, slopes: [0.5, 0.25, 0.125, 0.0625], layer: 3 }, domains },
    { shapes: shapes(3, 3), attributes: { ...attributes, keyValueHeads: 1, layer: 4 }, domains },
    { shapes: shapes(6, 10), attributes: { ...attributes, heads: 2, keyValueHeads: 1, headSize: 6, layer: 5 }, domains },
  ],
};

function cacheRow(pageTable: Tensor, sequence: number, position: number, pages: number): number {
  const inTable = position >= 0 && position < pageTable.shape[1]! * pageSize;
  const page = inTable ? pageTable.data[sequence * pageTable.shape[1]! + Math.floor(position / pageSize)]! : -1;
  if (page >= 0 && page < pages) return page * pageSize + (position % pageSize);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `cacheAttention: position ${position} of sequence ${sequence} has page ${page}, the cache has ${pages}`,
    { position, sequence, page, pages },
  );
}

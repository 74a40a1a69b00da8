/** Results worked out by hand for every op without a decomposition: backends are compared with the references, these with paper and pencil. */
import { expect, it } from "vitest";
import type { Value } from "../../src/graph/value.ts";
import { allOps, createBuilder } from "../../src/ops/builder.ts";
import { plainCache, runPlain } from "./plain.ts";

const b = createBuilder();
const f = (rows: readonly (readonly number[])[]): Value => b.constant(Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
const v = (...numbers: number[]): Value => b.constant(Float32Array.from(numbers), [numbers.length]);
const i = (...numbers: number[]): Value => b.constant(Int32Array.from(numbers), [numbers.length]);
const x = f([
  [1, 2, 3],
  [4, 5, 6],
]);
const [inf, e] = [Infinity, Math.E];

const known: readonly (readonly [string, Value, readonly number[]])[] = [
  ["add", b.add(x, v(10, 20, 30)), [11, 22, 33, 14, 25, 36]],
  ["sub", b.sub(x, f([[1], [2]])), [0, 1, 2, 2, 3, 4]],
  ["mul", b.mul(x, f([[2, 3, 4]])), [2, 6, 12, 8, 15, 24]],
  ["div", b.div(x, f([[2]])), [0.5, 1, 1.5, 2, 2.5, 3]],
  ["maximum", b.maximum(x, v(3, 3, 3)), [3, 3, 3, 4, 5, 6]],
  ["less", b.less(x, v(2, 2, 4)), [1, 0, 1, 0, 0, 0]],
  ["exp", b.exp(v(0, 1, -1)), [1, e, 1 / e]],
  ["log", b.log(v(1, e, 0)), [0, Math.log(Math.fround(e)), -inf]],
  ["sqrt", b.sqrt(v(0, 4, 9)), [0, 2, 3]],
  ["tanh", b.tanh(v(0, 100, -100)), [0, 1, -1]],
  ["erf", b.erf(v(0, 1, -10)), [0, 0.8427007929497149, -1]],
  ["sin", b.sin(v(0, 1)), [0, 0.8414709848078965]],
  ["cos", b.cos(v(0, 1)), [1, 0.5403023058681398]],
  ["scale", b.scale(v(1, 2), { by: 3, plus: -1 }), [2, 5]],
  ["select", b.select(v(1, 0, -2), v(1, 2, 3), v(4, 5, 6)), [1, 5, 3]],
  ["sum", b.sum(x, { axis: 0 }), [5, 7, 9]],
  ["sum", b.sum(x, { axis: 1 }), [6, 15]],
  [
    "peak",
    b.peak(
      f([
        [-1, -3],
        [-2, -2],
      ]),
      { axis: 1 },
    ),
    [-1, -2],
  ],
  ["reshape", b.reshape(x, { shape: [3, 2] }), [1, 2, 3, 4, 5, 6]],
  ["detach", b.detach(x), [1, 2, 3, 4, 5, 6]],
  ["transpose", b.transpose(x), [1, 4, 2, 5, 3, 6]],
  ["transpose", b.transpose(b.reshape(v(1, 2, 3, 4, 5, 6, 7, 8), { shape: [2, 2, 2] })), [1, 3, 2, 4, 5, 7, 6, 8]],
  ["slice", b.slice(x, { axis: 1, start: 1, length: 2 }), [2, 3, 5, 6]],
  ["slice", b.slice(i(7, 8, 9), { axis: 0, start: 2, length: 1 }), [9]],
  ["concat", b.concat([x, f([[7], [8]])], { axis: 1 }), [1, 2, 3, 7, 4, 5, 6, 8]],
  ["concat", b.concat([i(1), i(2, 3)], { axis: 0 }), [1, 2, 3]],
  ["broadcast", b.broadcast(f([[1], [2]]), { shape: [2, 3] }), [1, 1, 1, 2, 2, 2]],
  [
    "matmul",
    b.matmul(
      x,
      f([
        [1, 0, 0],
        [1, 1, 1],
      ]),
    ),
    [1, 6, 4, 15],
  ],
  ["gather", b.gather(x, i(1, 0, 1)), [4, 5, 6, 1, 2, 3, 4, 5, 6]],
  ["scatterAdd", b.scatterAdd(x, i(2, 2), { rows: 3 }), [0, 0, 0, 0, 0, 0, 5, 7, 9]],
  ["attentionBias", b.attentionBias(i(0, 2, 3), { rows: 3, causal: true, slope: 2 }), [0, -inf, -inf, -2, 0, -inf, -inf, -inf, 0]],
  ["attentionBias", b.attentionBias(i(0, 3), { rows: 3, causal: false, window: 2 }), [0, 0, 0, 0, 0, 0, -inf, 0, 0]],
  ["oneHot", b.oneHot(i(1, -1), { count: 3 }), [0, 1, 0, 0, 0, 0]],
  ["toFloat", b.toFloat(i(-3, 5)), [-3, 5]],
  ["rowSequences", b.rowSequences(i(0, 2, 3), { rows: 3 }), [0, 0, 1]],
  [
    "argmax",
    b.argmax(
      f([
        [1, 3, 3],
        [-1, -2, -1],
      ]),
    ),
    [1, 0],
  ],
  [
    "routeIds",
    b.routeIds(
      f([
        [1, 3, 3, 2],
        [5, 5, 5, 5],
      ]),
      { count: 3 },
    ),
    [1, 2, 3, 0, 1, 2],
  ],
  // Expert 0 doubles, expert 1 turns the signs.
  [
    "expertMatmul",
    b.expertMatmul(
      f([
        [1, 2],
        [3, 4],
      ]),
      b.constant(Float32Array.of(2, 0, 0, 2, -1, 0, 0, -1), [2, 2, 2]),
      b.constant(Int32Array.of(0, 1, 1, 0), [2, 2]),
    ),
    [2, 4, -1, -2, -3, -4, 6, 8],
  ],
  [
    "expertMatmul",
    b.expertMatmul(
      f([
        [1, 2],
        [3, 4],
      ]),
      b.constant(Float32Array.of(2, 0, 0, 2, -1, 0, 0, -1), [2, 2, 2]),
      b.constant(Int32Array.of(0, 1), [1, 2]),
    ),
    [2, 4, -3, -4],
  ],
  [
    "combine",
    b.combine(
      f([
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
      ]),
      f([
        [1, 10],
        [0.5, 0],
      ]),
    ),
    [31, 42, 2.5, 3],
  ],
  ["cacheAttention", cached(2), [1, 1.5]],
  ["attentionGradient", gradientOf("value"), [1.5, 0.5]],
  ["attentionGradient", gradientOf("query"), [0, 0.5]],
  ["attentionGradient", gradientOf("key"), [0, 0]],
  // Philox4x32-10 of counter and key 0 (Random123's known answers): 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
  [
    "noise",
    b.noise(i(0, 0), { shape: [4], kind: "uniform", stream: 0 }),
    [0x6627e8 / 2 ** 24, 0xe169c5 / 2 ** 24, 0xbc57ac / 2 ** 24, 0x9b00db / 2 ** 24],
  ],
  [
    "blockDequantize",
    b.blockDequantize(b.blockQuantize(v(1, -1, 0), { signed: true }), { shape: [3], signed: true }),
    [1, Math.fround(-0.99296875), 0],
  ],
  ["blockQuantize", b.blockDequantize(b.blockQuantize(v(0, 2), { signed: false }), { shape: [2], signed: false }), [0, 2]],
  ["storeHalf", b.storeHalf(f([[1, -2]]), { kind: "bf16" }), [0xc0003f80 | 0]],
  ["loadHalf", b.loadHalf(b.constant(Int32Array.of(0xc0003c00 | 0), [1, 1]), { kind: "f16", channels: 2 }), [1, -2]],
  // The second row has no slot.
  [
    "addLowRank",
    b.addLowRank(
      f([
        [1, 2],
        [3, 4],
      ]),
      f([
        [1, 1],
        [2, 3],
      ]),
      b.reshape(v(2, 5), { shape: [1, 2, 1] }),
      b.reshape(v(10, 100), { shape: [1, 1, 2] }),
      v(1),
      i(0, -1),
    ),
    [71, 702, 3, 4],
  ],
  // Scales 4/3 and 2/3 as BF16; the outer levels are 1.5 of them.
  [
    "coarseMatmul",
    b.coarseMatmul(
      f([
        [1, -1],
        [2, 0],
      ]),
      f([
        [2, -2],
        [1, 1],
      ]),
    ),
    [4.0078125, 0, 4.0078125, 2.00390625],
  ],
  [
    "pickedMatmul",
    b.pickedMatmul(
      x,
      f([
        [1, 0, 0],
        [0, 1, 0],
        [1, 1, 1],
      ]),
      b.reshape(i(2, 0, 1, 1), { shape: [2, 2] }),
    ),
    [6, 1, 5, 5],
  ],
  // The second row is at position 1, which the context of length 1 does not hold.
  ["cacheAttention", cached(1), [1, 1]],
];

/** Two rows of one sequence with equal scores: the first sees its own value, the second the mean of both. */
function gradientOf(of: "query" | "key" | "value"): Value {
  const rule = { heads: 1, keyValueHeads: 1, headSize: 1, scale: 1, causal: true, of };
  return b.attentionGradient(f([[0], [0]]), f([[3], [5]]), f([[1], [2]]), i(0, 2), f([[1], [1]]), rule);
}

/** Two rows of one sequence with equal scores: the mean of the values 1 and 2 that a row sees. */
function cached(length: number): Value {
  const zeros = f([[0], [0]]);
  const pageTable = b.constant(Int32Array.of(1), [1, 1]);
  return b.cacheAttention(zeros, zeros, f([[1], [2]]), i(0, 1), i(0, 2), i(length), pageTable, {
    heads: 1,
    keyValueHeads: 1,
    headSize: 1,
    scale: 1,
    layer: 0,
  });
}

it.each(known)("%s", (_, value, wanted) => {
  const found = runPlain({ outputs: new Map([["y", value]]) }, { cache: plainCache(2) })["y"]!.data;
  expect(found.length).toBe(wanted.length);
  wanted.forEach((number, at) => (Number.isFinite(number) ? expect(found[at]).toBeCloseTo(number, 14) : expect(found[at]).toBe(number)));
});

it("has every op that is not checked against a decomposition", () => {
  const checked = new Set(known.map(([name]) => name));
  expect(Object.values(allOps).filter((op) => op.decompose === undefined && !checked.has(op.name))).toEqual([]);
});

/** One entry for each op that has a kernel of this backend: the steps that compute one value. */
import { type Dim, evaluate, plus, printDims, times } from "../../graph/dim.ts";
import { elements } from "../../graph/polynomial.ts";
import type { Value } from "../../graph/value.ts";
import { pageSize } from "../../ops/cache.ts";
import { type HalfKind, halfKinds } from "../../ops/half-stored.ts";
import { FrugalError } from "../../tensor/error.ts";
import { lowerLowRanks } from "./low-rank.ts";
import type { Lowering as State } from "./lowering.ts";
import { gates, type Kernel, nothing, type Operand } from "./words.ts";

export type Lower = (value: Value, l: State) => void;

export const number = (value: Value, name: string, fallback = 0): number => {
  const attribute = value.attributes[name];
  return typeof attribute === "number" ? attribute : fallback;
};
/** Sizes inside attributes are numbers once a program is made for native kernels; T and its like come from operands. */
export const fixed = (dim: Dim): number => evaluate(dim, { T: 0, S: 0, C: 0, R: 0 });

const binary =
  (kind: number): Lower =>
  (value, l) =>
    l.step("binary", [...value.inputs.map((x) => l.operand(x)), l.operand(value)], [kind]);
const unary =
  (kind: number): Lower =>
  (value, l) =>
    l.step("unary", [l.operand(value.inputs[0]!), l.operand(value)], [kind], [number(value, "by", 1), number(value, "plus", 0)]);
/** Inputs, then the result, with integers and numbers of some attributes. */
const plain =
  (kernel: Kernel, integers: (value: Value) => number[] = () => [], numbers: (value: Value) => number[] = () => []): Lower =>
  (value, l) =>
    l.step(kernel, [...value.inputs.map((x) => l.operand(x)), l.operand(value)], integers(value), numbers(value));
const gate = (value: Value): number[] => [gates.indexOf(String(value.attributes["kind"]))];
const axis = (value: Value): number[] => [number(value, "axis", value.shape.length - 1)];
const signed = (value: Value): number[] => [value.attributes["signed"] === true ? 1 : 0];
const rule = (value: Value): number[] => [number(value, "heads"), number(value, "keyValueHeads"), number(value, "window")];
const scores = (value: Value): number[] => [
  number(value, "scale", 1),
  number(value, "softcap"),
  ...((value.attributes["slopes"] as readonly number[] | undefined) ?? []),
];
/** For blocks of 64 queries of one head: running sums, queries as integers, and a page of keys and values as floats. */
const attentionScratch = (value: Value): number => {
  const size = number(value, "headSize");
  const valueSize = fixed(value.shape[1]!) / number(value, "heads");
  return 64 * (4 * (valueSize + 16) + 2 * (size + 32)) + 4 * pageSize * (size + valueSize + 64) + 64;
};

export const lowerings: Readonly<Record<string, Lower>> = {
  add: binary(0),
  sub: binary(1),
  mul: binary(2),
  div: binary(3),
  maximum: binary(4),
  less: binary(5),
  scale: unary(0),
  exp: unary(1),
  log: unary(2),
  sqrt: unary(3),
  tanh: unary(4),
  erf: unary(5),
  sin: unary(6),
  cos: unary(7),
  select: plain("select"),
  activation: plain("activation", gate),
  glu: plain("glu", gate),
  rmsNorm: plain(
    "rms_norm",
    (value) => [number(value, "groups", 1)],
    (value) => [number(value, "epsilon")],
  ),
  layerNorm: plain(
    "layer_norm",
    () => [],
    (value) => [number(value, "epsilon")],
  ),
  sum: plain("sum", axis),
  peak: plain("peak", axis),
  argmax: plain("argmax"),
  transpose: plain("transpose"),
  concat: plain("concat", axis),
  broadcast: plain("broadcast"),
  slice: plain("slice", (value) => [number(value, "axis"), fixed(value.attributes["start"] as Dim)]),
  scatterAdd: plain("scatter_add"),
  crossEntropy: plain("cross_entropy"),
  routeIds(value, l) {
    // Many are found by the largest of each of at most 8 blocks a chosen one.
    l.scratch(32 * fixed(value.shape[1]!));
    l.step("route_ids", [l.operand(value.inputs[0]!), l.operand(value)]);
  },
  routeWeights: plain("route_weights", (value) => [value.attributes["normalize"] === true ? 1 : 0]),
  combine: plain("combine"),
  pool: plain("pool", (value) => [["mean", "first", "last"].indexOf(String(value.attributes["kind"]))]),
  softmax(value, l) {
    const along = number(value, "axis", value.shape.length - 1);
    const width = value.shape[along]!;
    // Lines that are not contiguous go through scratch, whose size can't depend on a symbol.
    if (along !== value.shape.length - 1) l.scratch(4 * (typeof width === "number" ? width : 1 << 16));
    l.step("softmax", [l.operand(value.inputs[0]!), l.operand(value)], [along]);
  },
  rope(value, l) {
    const frequencies = value.inputs[2]!;
    l.scratch(8 * fixed(frequencies.shape[0]!) + 64);
    const style = value.attributes["style"] === "interleaved" ? 1 : 0;
    l.step(
      "rope",
      [...value.inputs.map((x) => l.operand(x)), l.operand(value)],
      [number(value, "headSize"), style],
      [number(value, "magnitude", 1)],
    );
  },
  gather(value, l) {
    const [table, ids] = value.inputs as [Value, Value];
    const packed = l.isMatrix(table);
    const operand = packed ? l.matrix(table).operand : l.operand(table);
    l.step("gather", [operand, l.operand(ids), l.operand(value)], [packed ? fixed(table.shape[0]!) : -1]);
  },
  matmul(value, l) {
    const [x, w] = value.inputs as [Value, Value];
    l.scratch(gemmScratch);
    l.step("gemm", [l.operand(x), l.operand(w), l.operand(value), nothing], [0, 0, 0], [1]);
  },
  storeHalf: plain("store_half", (value) => [halfKinds.indexOf(value.attributes["kind"] as HalfKind)]),
  loadHalf: plain("load_half", (value) => [halfKinds.indexOf(value.attributes["kind"] as HalfKind)]),
  toFloat: plain("to_float"),
  oneHot: plain("one_hot"),
  rowSequences: plain("row_sequences"),
  noise: plain("noise", (value) => [["uniform", "normal"].indexOf(String(value.attributes["kind"])), number(value, "stream")]),
  blockQuantize: plain("block_quantize", signed),
  blockDequantize: plain("block_dequantize", signed),
  addLowRank: (value, l) => lowerLowRanks([value], l),
  dot(value, l) {
    const [x, other] = value.inputs as [Value, Value];
    if (x.shape.some((dim) => typeof dim !== "number"))
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `core: dot of ${printDims(x.shape)} needs fixed sizes; sum products along each axis instead`,
      );
    const count = x.shape.reduce<number>((product, dim) => product * fixed(dim), 1);
    const parts = l.buffer(elements([Math.ceil(count / 4096)]), [Math.ceil(count / 4096)]);
    l.step("dot_parts", [l.operand(x), l.operand(other), parts]);
    l.step("sum", [parts, l.operand(value)], [0]);
  },
  linearCrossEntropy: (value, l) => lowerGradients([value], l),
  linearCrossEntropyGradient: (value, l) => lowerGradients([value], l),
  attentionGradient: (value, l) => lowerGradients([value], l),
  rmsNormGradient: (value, l) => lowerGradients([value], l),
  layerNormGradient: (value, l) => lowerGradients([value], l),
  coarseMatmul(value, l) {
    const [x, w] = value.inputs as [Value, Value];
    if (!l.isMatrix(w)) throw new FrugalError("FRUGAL_UNSUPPORTED", "core: coarseMatmul needs a weight that no program updates");
    l.step("coarse_linear", [l.operand(x), l.quantized(x), l.coarse(w), l.operand(value)]);
  },
  pickedMatmul(value, l) {
    const [x, w, ids] = value.inputs as [Value, Value, Value];
    if (l.isMatrix(w)) {
      const { operand, quantized } = l.matrix(w);
      return l.step("picked_linear", [l.operand(x), quantized ? l.quantized(x) : nothing, operand, l.operand(ids), l.operand(value)]);
    }
    // Each row as an expert with one output.
    const [outputs, width] = w.shape as [Dim, Dim];
    const result = l.operand(value);
    l.step("expert_matmul", [
      l.operand(x),
      { ...l.operand(w), shape: [outputs, 1, width] },
      l.operand(ids),
      { ...result, shape: [...result.shape, 1] },
    ]);
  },
  expertMatmul(value, l) {
    const [x, w, ids] = value.inputs as [Value, Value, Value];
    if (!l.isMatrix(w)) return l.step("expert_matmul", [l.operand(x), l.operand(w), l.operand(ids), l.operand(value)]);
    const { operand, quantized } = l.matrix(w);
    const codes = quantized ? l.quantized(x) : nothing;
    l.step("expert_linear", [l.operand(x), codes, operand, l.operand(ids), l.operand(value)], [fixed(w.shape[0]!)]);
  },
  attention(value, l) {
    const [q, k, v, rowOffsets] = value.inputs as [Value, Value, Value, Value];
    const heads = number(value, "keyValueHeads");
    const width = fixed(k.shape[1]!) + fixed(v.shape[1]!);
    // A page for every 32 rows and one more a sequence.
    const tokens = plus(k.shape[0]!, times(plus(rowOffsets.shape[0]!, -1), pageSize));
    const pages = l.buffer(elements([tokens, width]), [tokens, width]);
    l.scratch(attentionScratch(value));
    l.step("attention_write", [l.operand(k), l.operand(v), l.operand(rowOffsets), pages], [heads]);
    l.step(
      "attention",
      [l.operand(q), l.operand(rowOffsets), pages, l.operand(value)],
      [...rule(value), value.attributes["causal"] === true ? 1 : 0],
      scores(value),
    );
  },
  cacheAttention(value, l) {
    const [q, k, v, ...where] = value.inputs as [Value, Value, Value, ...Value[]];
    const layer = number(value, "layer");
    const places = where.map((x) => l.operand(x));
    l.scratch(attentionScratch(value));
    l.step("cache_write", [l.operand(k), l.operand(v), ...places], [layer]);
    l.step("cache_attend", [l.operand(q), ...places, l.operand(value)], [layer, ...rule(value), 1], scores(value));
  },
};

/** Bytes of scratch that native/kernels/gemm.h asks for, in the instruction set that asks for most. */
export const gemmScratch: number = (16 * 16 * 512 + 1024 * 512) * 4;

/** Gradients of one op that one step finds, by what `of` says of each. */
export function lowerGradients(values: readonly Value[], l: State): void {
  const first = values.at(-1)!;
  const of = (kind: string): Value | undefined => values.find((value) => value.attributes["of"] === kind);
  const result = (kind: string): Operand => maybe(of(kind), l);
  const inputs = first.inputs;
  if (first.op === "attentionGradient") {
    l.scratch(gemmScratch + (2 * 64 * 512 + 3 * 64) * 4);
    l.step(
      "attention_gradient",
      [...inputs.map((x) => l.operand(x)), result("query"), result("key"), result("value")],
      [...rule(first), first.attributes["causal"] === true ? 1 : 0],
      scores(first),
    );
  } else if (first.op === "rmsNormGradient" || first.op === "layerNormGradient") {
    const weight = of("weight");
    const width = fixed(inputs[1]!.shape[0]!);
    const parts = weight === undefined ? nothing : l.buffer(elements([64, width]), [64, width]);
    const isRms = first.op === "rmsNormGradient";
    l.step(
      isRms ? "rms_norm_gradient" : "layer_norm_gradient",
      [...inputs.map((x) => l.operand(x)), result("x"), parts],
      isRms ? [number(first, "groups", 1)] : [],
      [number(first, "epsilon")],
    );
    if (weight !== undefined) l.step("sum", [parts, { ...l.operand(weight), shape: [1, width] }], [0]);
  } else lowerLoss(values, l);
}

const maybe = (value: Value | undefined, l: State): Operand => (value === undefined ? nothing : l.operand(value));

/** Cross-entropy of a product, and its gradients: through all the logits where they are few, else in blocks. */
function lowerLoss(values: readonly Value[], l: State): void {
  const losses = values.find(({ op }) => op === "linearCrossEntropy");
  const of = (kind: string): Value | undefined => values.find((value) => value.attributes["of"] === kind);
  const [x, table, targets] = values[0]!.inputs as [Value, Value, Value];
  const dy = (of("x") ?? of("table"))?.inputs[3];
  const vocabulary = fixed(table.shape[0]!);
  const [forX, forTable] = [of("x"), of("table")];
  l.scratch(gemmScratch + (224 * 1024 + 3 * 224) * 4);
  const size = elements([x.shape[0]!, vocabulary]);
  if (l.isFew(size) && !l.isInteger(table)) {
    const tableOperand = l.isMatrix(table) ? l.matrix(table).operand : l.operand(table);
    const logits = l.buffer(size, [x.shape[0]!, vocabulary]);
    l.step("gemm", [l.operand(x), tableOperand, logits, nothing], [0, 0, 0], [1]);
    if (dy === undefined) return l.step("cross_entropy", [logits, l.operand(targets), l.operand(losses!)]);
    l.step("cross_entropy_errors", [l.operand(targets), l.operand(dy), maybe(losses, l), logits]);
    if (forX) l.step("gemm", [logits, tableOperand, l.operand(forX), nothing], [0, 1, 0], [1]);
    if (forTable) l.step("gemm", [logits, l.operand(x), l.operand(forTable), nothing], [1, 1, 0], [1]);
    return;
  }
  const tableOperand = l.isMatrix(table) ? l.matrix(table).operand : l.operand(table);
  const rows = x.shape[0]!;
  const logarithms = forTable === undefined ? nothing : l.buffer(elements([rows]), [rows]);
  const seed = dy === undefined ? nothing : l.operand(dy);
  l.step(
    "linear_cross_entropy",
    [l.operand(x), tableOperand, l.operand(targets), seed, maybe(losses, l), maybe(forX, l), logarithms],
    [vocabulary],
  );
  if (forTable)
    l.step(
      "linear_cross_entropy_table",
      [l.operand(x), tableOperand, l.operand(targets), seed, logarithms, l.operand(forTable)],
      [vocabulary],
    );
}

/** Graph to steps: one entry of a table for each op that has a kernel. Buffers are numbered here and placed by the memory planner. */
import { type Dim, type Dims, evaluate, plus, times } from "../../graph/dim.ts";
import { elements, type Polynomial, scaled } from "../../graph/polynomial.ts";
import { type Graph, sourceOps, type Value, valuesOf } from "../../graph/value.ts";
import { allOps } from "../../ops/builder.ts";
import { pageSize } from "../../ops/cache.ts";
import { FrugalError } from "../../tensor/error.ts";
import { findFolds, type Folds, type Product } from "./fold.ts";
import { gates, type Kernel, nothing, type Operand, type Place, type Step } from "./words.ts";

/** What the weights of a model look like to the core. */
export interface WeightTable {
  /** Index of the packed matrix of a weight, and whether its products take quantised activations. */
  matrix(value: Value): { readonly index: number; readonly quantized: boolean };
  /** Index of the plain numbers of a weight or constant. */
  vector(value: Value): number;
}

export interface Lowered {
  readonly steps: readonly Step[];
  /** Sizes of the buffers in 4-byte elements, and the steps between which each is in use. */
  readonly buffers: readonly { readonly size: Polynomial; readonly from: number; readonly to: number }[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly (readonly [name: string, value: Value])[];
  /** Bytes of scratch that a thread needs. */
  readonly scratchBytes: number;
}

/** Ops without a kernel of this backend, with the reason: what only training needs. */
export function missingKernels(order: readonly Value[]): string[] {
  return [...new Set(order.map(({ op }) => op).filter((op) => !sourceOps.includes(op) && !(op in lowerings) && !allOps[op]?.sharesInput))];
}

/** The input of an op that is a packed matrix where it is a weight; all other weights are plain numbers. */
const matrixInputs: Readonly<Record<string, number>> = { matmul: 1, expertMatmul: 1, gather: 0 };

/** Every weight that `lower` will ask for as a matrix. */
export function matrixWeights(order: readonly Value[]): Value[] {
  return order.flatMap(({ op, inputs }) => {
    const input = inputs[matrixInputs[op] ?? -1];
    return input?.op === "weight" ? [input] : [];
  });
}

export function lower(graph: Graph, weights: WeightTable): Lowered {
  const order = valuesOf(graph);
  const missing = missingKernels(order);
  if (missing.length > 0)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `native: no kernel for ${missing.join(", ")}; use the reference backend`);
  const outputs = [...graph.outputs];
  const state = new LoweringState(weights, findFolds(order, new Set(graph.outputs.values())), outputs);
  for (const value of order) state.inputOrNothing(value);
  for (const value of order) state.lowerValue(value);
  for (const [index, [, value]] of outputs.entries()) state.finishOutput(index, value);
  return state.result(outputs);
}

const isShared = (value: Value): boolean => allOps[value.op]?.sharesInput === true;

/** The numbering under way: where each value is, and the steps so far. */
class LoweringState {
  readonly #weights: WeightTable;
  readonly #folds: Folds;
  readonly #steps: Step[] = [];
  readonly #sizes: Polynomial[] = [];
  readonly #places = new Map<Value, Place>();
  readonly #quantized = new Map<Value, Operand>();
  readonly #inputs: Value[] = [];
  readonly #outputIndex = new Map<Value, number>();
  readonly #byRows = new Map<Value, Product[]>();
  #scratchBytes = 64;

  constructor(weights: WeightTable, folds: Folds, outputs: readonly (readonly [string, Value])[]) {
    this.#weights = weights;
    this.#folds = folds;
    outputs.forEach(([, value], i) => {
      if (!sourceOps.includes(value.op) && !isShared(value) && !this.#outputIndex.has(value)) this.#outputIndex.set(value, i);
    });
    // Products without a residual wait for nothing but their rows, so those of the same rows become one step.
    for (const product of folds.products.values())
      if (!product.residual) this.#byRows.set(product.x, [...(this.#byRows.get(product.x) ?? []), product]);
  }

  inputOrNothing(value: Value): void {
    if (value.op === "input") {
      this.#places.set(value, { space: "input", index: this.#inputs.length });
      this.#inputs.push(value);
    }
  }

  lowerValue(value: Value): void {
    if (sourceOps.includes(value.op) || this.#folds.folded.has(value) || this.#places.has(value)) return;
    if (isShared(value)) {
      const [x] = value.inputs as [Value];
      this.#places.set(value, this.operand(x).place);
      return;
    }
    const product = this.#folds.products.get(value);
    if (product) this.#product(product);
    else lowerings[value.op]!(value, this);
  }

  finishOutput(index: number, value: Value): void {
    if (this.#outputIndex.get(value) !== index)
      this.step("copy", [this.operand(value), { place: { space: "output", index }, shape: value.shape }]);
    if (value.type === "f32") this.step("check_finite", [{ place: { space: "output", index }, shape: value.shape }]);
  }

  /** Where a value is, or will be: its own buffer, or an output. */
  operand(value: Value): Operand {
    const known = this.#places.get(value);
    if (known) return { place: known, shape: value.shape };
    if (value.op === "weight" || value.op === "constant")
      return { place: { space: "vector", index: this.#weights.vector(value) }, shape: value.shape };
    const output = this.#outputIndex.get(value);
    const place: Place =
      output === undefined ? { space: "arena", buffer: this.#sizes.push(elements(value.shape)) - 1 } : { space: "output", index: output };
    this.#places.set(value, place);
    return { place, shape: value.shape };
  }

  matrix(value: Value): { operand: Operand; quantized: boolean } {
    const { index, quantized } = this.#weights.matrix(value);
    return { operand: { place: { space: "matrix", index }, shape: [] }, quantized };
  }

  /** A buffer that is no value's. */
  buffer(size: Polynomial, shape: Dims): Operand {
    return { place: { space: "arena", buffer: this.#sizes.push(size) - 1 }, shape };
  }

  step(kernel: Kernel, operands: readonly Operand[], integers: readonly number[] = [], numbers: readonly number[] = []): void {
    this.#steps.push({ kernel, operands, integers, numbers });
  }

  scratch(bytes: number): void {
    this.#scratchBytes = Math.max(this.#scratchBytes, bytes);
  }

  /** The rows of x as 8-bit codes with their scales and sums (native/kernels/activations.h); made once for all that read them. */
  quantized(x: Value): Operand {
    const known = this.#quantized.get(x);
    if (known) return known;
    const codes = this.buffer(scaled(elements(x.shape), 15 / 32), [x.shape[0]!, (fixed(x.shape[1]!) / 32) * 15]);
    this.step("quantize", [this.operand(x), codes]);
    this.#quantized.set(x, codes);
    return codes;
  }

  #product(product: Product): void {
    // At most 16 products a step: what the kernel has room for.
    const same = product.residual
      ? [product]
      : this.#byRows
          .get(product.x)!
          .filter(({ result }) => !this.#places.has(result))
          .slice(0, 16);
    const parts = same.map(({ weight, up, bias, residual, result, gate }) => {
      const first = this.matrix(weight);
      const second = up && this.matrix(up);
      const operands = [
        first.operand,
        second?.operand ?? nothing,
        this.operand(result),
        bias ? this.operand(bias) : nothing,
        residual ? this.operand(residual) : nothing,
      ];
      return { operands, gate: gate === undefined ? -1 : gates.indexOf(gate), quantized: first.quantized || second?.quantized === true };
    });
    const codes = parts.some(({ quantized }) => quantized) ? this.quantized(product.x) : nothing;
    this.step(
      "linear",
      [this.operand(product.x), codes, ...parts.flatMap(({ operands }) => operands)],
      parts.map(({ gate }) => gate),
    );
  }

  result(outputs: readonly (readonly [string, Value])[]): Lowered {
    const lives = this.#sizes.map((size) => ({ size, from: Infinity, to: -1 }));
    this.#steps.forEach(({ operands }, at) => {
      for (const { place } of operands) {
        if (place.space !== "arena") continue;
        const life = lives[place.buffer]!;
        life.from = Math.min(life.from, at);
        life.to = at;
      }
    });
    return { steps: this.#steps, buffers: lives, inputs: this.#inputs, outputs, scratchBytes: this.#scratchBytes };
  }
}

type Lowering = (value: Value, l: LoweringState) => void;

const number = (value: Value, name: string, fallback = 0): number => {
  const attribute = value.attributes[name];
  return typeof attribute === "number" ? attribute : fallback;
};
/** Sizes inside attributes are numbers once a program is made for native kernels; T and its like come from operands. */
const fixed = (dim: Dim): number => evaluate(dim, { T: 0, S: 0, C: 0, R: 0 });

const binary =
  (kind: number): Lowering =>
  (value, l) =>
    l.step("binary", [...value.inputs.map((x) => l.operand(x)), l.operand(value)], [kind]);
const unary =
  (kind: number): Lowering =>
  (value, l) =>
    l.step("unary", [l.operand(value.inputs[0]!), l.operand(value)], [kind], [number(value, "by", 1), number(value, "plus", 0)]);
/** Inputs, then the result, with integers and numbers of some attributes. */
const plain =
  (kernel: Kernel, integers: (value: Value) => number[] = () => [], numbers: (value: Value) => number[] = () => []): Lowering =>
  (value, l) =>
    l.step(kernel, [...value.inputs.map((x) => l.operand(x)), l.operand(value)], integers(value), numbers(value));
const gate = (value: Value): number[] => [gates.indexOf(String(value.attributes["kind"]))];
const axis = (value: Value): number[] => [number(value, "axis", value.shape.length - 1)];
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

const lowerings: Readonly<Record<string, Lowering>> = {
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
  routeIds: plain("route_ids"),
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
    const packed = table.op === "weight";
    const operand = packed ? l.matrix(table).operand : l.operand(table);
    l.step("gather", [operand, l.operand(ids), l.operand(value)], [packed ? fixed(table.shape[0]!) : -1]);
  },
  matmul(value, l) {
    const [x, w] = value.inputs as [Value, Value];
    const width = x.shape[1]!;
    l.scratch(64 * (typeof width === "number" ? width : 1 << 16));
    l.step("matmul", [l.operand(x), l.operand(w), l.operand(value)]);
  },
  expertMatmul(value, l) {
    const [x, w, ids] = value.inputs as [Value, Value, Value];
    if (w.op !== "weight") return l.step("expert_matmul", [l.operand(x), l.operand(w), l.operand(ids), l.operand(value)]);
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

/**
 * Prefix tuning (Li and Liang 2021, arXiv 2101.00190): in every layer, P learned keys and values stand in front of those of the text. They
 * are not rotated and not normed; text begins at position P.
 *
 * Weights: `prefix.key.N` and `prefix.value.N` [P, heads of keys and values · size] of layer N. PEFT's `prompt_embeddings`
 * [P, layers · 2 · channels] holds them side by side: key of layer 0, value of layer 0, key of layer 1, ...
 * With a projection (the paper's section 4.3) they are made by a network, out = W₂ tanh(W₁ e + b₁) + b₂: `prefix.encoder.embedding` [P, channels],
 * `prefix.encoder.first` [hidden, channels], `prefix.encoder.second` [layers · 2 · channels, hidden], each with `.bias`; files hold its results
 * (`prefixEncoderGraph`), which prefix tuning without a projection reads.
 */
import { linear } from "../../blocks/linear.ts";
import { type Graph, type Value, valuesOf } from "../../graph/value.ts";
import { rewrite } from "../../graph/rewrite.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Builder } from "../../ops/op.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { evenNumbers, normalNumbers, zeros } from "./initial-numbers.ts";
import { checkVirtualTokens, putRows, virtualRows } from "./virtual-rows.ts";

export interface PrefixTuningOptions {
  /** Keys and values in front of the text, in each layer. */
  readonly virtualTokens: number;
  /** random: normal numbers of unit scale, as PEFT begins; zero: keys and values of zeros. */
  readonly initial?: "random" | "zero" | undefined;
  /** Keys and values are made by a network with so many channels inside. */
  readonly projection?: number | undefined;
}

export function prefixTuning(options: PrefixTuningOptions): TuningTechnique {
  checkOptions("prefix tuning", options, ["virtualTokens", "initial", "projection"]);
  const { virtualTokens, initial = "random", projection } = options;
  checkVirtualTokens("prefix tuning", virtualTokens);
  wholeNumber("prefix tuning", "projection", projection, 1, 1 << 20);
  if (!["random", "zero"].includes(initial))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `prefix tuning: initial is ${JSON.stringify(initial)}; give "random" or "zero"`, {
      option: "initial",
    });
  const serve = (graph: Graph): Graph => withPrefix(graph, options);
  return {
    name: "prefix",
    paper: {
      title: "Prefix-Tuning: Optimizing Continuous Prompts for Generation",
      authors: "Xiang Lisa Li, Percy Liang",
      year: 2021,
      url: "https://arxiv.org/abs/2101.00190",
    },
    survey: "4.2 tuning: additive",
    changes: "graph",
    serve,
    ...(projection === undefined ? {} : { rows: (graph: Graph) => prefixEncoderGraph(prefixWidths(graph), options) }),
    async apply(model, { seed }) {
      const first = (name: string, shape: Shape): Float32Array => {
        const isZero = name.endsWith(".bias") || (initial === "zero" && !name.endsWith(".embedding") && !name.endsWith(".first"));
        if (isZero) return zeros(shape);
        const isProduct = name.endsWith(".first") || name.endsWith(".second");
        return isProduct ? evenNumbers(seed, name, shape, shape[1]! ** -0.5) : normalNumbers(seed, name, shape, 1);
      };
      return { ...withAdded(model, serve(model.graph), "prefix tuning", first), virtualTokens };
    },
  };
}

/** Channels of keys and of values in each layer, in order. */
export interface PrefixWidths {
  readonly key: number;
  readonly value: number;
}

/** What a trained projection gives: -> `prefix.key.N`, `prefix.value.N`; no inputs. */
export function prefixEncoderGraph(layers: readonly PrefixWidths[], options: PrefixTuningOptions): Graph {
  const b = createBuilder();
  const tables = prefixTables(b, layers, options);
  return {
    outputs: new Map(tables.flatMap(({ key, value }, i) => [[`prefix.key.${i}`, key] as const, [`prefix.value.${i}`, value] as const])),
  };
}

/** Of a model's graph. */
export const prefixWidths = (graph: Graph): PrefixWidths[] =>
  attentions(graph).map(({ inputs: [, key, value] }) => ({ key: key!.shape[1] as number, value: value!.shape[1] as number }));

function withPrefix(graph: Graph, options: PrefixTuningOptions): Graph {
  const found = attentions(graph);
  if (found.length === 0)
    throw new FrugalError("FRUGAL_UNSUPPORTED", "prefix tuning: the model has no attention to put keys in front of; use another technique");
  const b = createBuilder();
  const rows = virtualRows(b, graph, options.virtualTokens, "prefix tuning");
  const tables = prefixTables(b, prefixWidths(graph), options);
  const places = new Map(found.map((value, i) => [value, tables[i]!]));
  return rewrite(graph, (value, original) => {
    const table = places.get(original);
    if (table === undefined) return value;
    const [query, key, v, ...rest] = value.inputs;
    return { ...value, inputs: [query!, putRows(b, key!, table.key, rows), putRows(b, v!, table.value, rows), ...rest] };
  });
}

/** Attention over rows or over a cache, by layer: whatever groups heads of keys. */
const attentions = (graph: Graph): Value[] => valuesOf(graph).filter(({ attributes }) => attributes["keyValueHeads"] !== undefined);

interface Tables {
  readonly key: Value;
  readonly value: Value;
}

function prefixTables(b: Builder, layers: readonly PrefixWidths[], { virtualTokens, projection }: PrefixTuningOptions): Tables[] {
  if (projection === undefined)
    return layers.map(({ key, value }, i) => ({
      key: b.weight(`prefix.key.${i}`, [virtualTokens, key]),
      value: b.weight(`prefix.value.${i}`, [virtualTokens, value]),
    }));
  const total = layers.reduce((sum, { key, value }) => sum + key + value, 0);
  const embedding = b.weight("prefix.encoder.embedding", [virtualTokens, layers[0]!.key]);
  const inner = b.tanh(linear(b, "prefix.encoder.first", embedding, projection, true));
  const all = linear(b, "prefix.encoder.second", inner, total, true);
  let start = 0;
  const next = (length: number): Value => {
    start += length;
    return b.slice(all, { axis: 1, start: start - length, length });
  };
  return layers.map(({ key, value }) => ({ key: next(key), value: next(value) }));
}

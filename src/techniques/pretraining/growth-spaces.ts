/** What the rows and columns of each weight of a decoder stand for, and how their number grows: heads as wholes, all else one by one. */
import { type Graph, type Value, valuesOf } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Shape } from "../../tensor/shape.ts";
import { inLayer } from "./layer-names.ts";

/** stream: the residual stream; the others belong to one layer. fixed: does not grow (tokens, positions, channels of a head). */
export type Space = "fixed" | "stream" | "query" | "key" | "value" | "mixed" | "inner";

const parts: Readonly<Record<string, readonly Space[]>> = {
  attentionNorm: ["stream"],
  mlpNorm: ["stream"],
  attentionOutputNorm: ["stream"],
  mlpOutputNorm: ["stream"],
  "attention.query": ["query", "stream"],
  "attention.key": ["key", "stream"],
  "attention.value": ["value", "stream"],
  "attention.output": ["stream", "mixed"],
  "attention.queryNorm": ["fixed"],
  "attention.keyNorm": ["fixed"],
  "mlp.gate": ["inner", "stream"],
  "mlp.up": ["inner", "stream"],
  "mlp.down": ["stream", "inner"],
};
const outside: Readonly<Record<string, readonly Space[]>> = {
  embedding: ["fixed", "stream"],
  positionEmbedding: ["fixed", "stream"],
  embeddingNorm: ["stream"],
  norm: ["stream"],
  head: ["fixed", "stream"],
};

/** Of each dimension. Throws FRUGAL_UNSUPPORTED for weights that nobody has said how to grow, such as experts. */
export function spacesOf(name: string): readonly Space[] {
  const isBias = name.endsWith(".bias");
  const owner = isBias ? name.slice(0, -".bias".length) : name;
  const place = inLayer(owner);
  const table = place === undefined ? outside : parts;
  const key = place?.part ?? owner;
  const found = Object.hasOwn(table, key) ? table[key] : undefined;
  if (found === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `learned growth: nobody has said how "${name}" grows; take a decoder with plain layers`, {
      weight: name,
    });
  return isBias ? found.slice(0, 1) : found;
}

/**
 * Whether a weight's dimension is summed over by what it reads, so that copies must share what one had. Tables write the stream; where the
 * head is the table of embeddings, the norm before it shares in its place.
 */
export function isShared(name: string, dimension: number, tiedHead: boolean): boolean {
  if (name === "norm" || name === "norm.bias") return tiedHead;
  return dimension === 1 && name !== "embedding" && name !== "positionEmbedding";
}

/** Channels of one head in each space that heads divide; 1 elsewhere. */
export type HeadSizes = Readonly<Record<Space, number>>;

export function headSizes(graph: Graph): HeadSizes {
  const attention: Value | undefined = valuesOf(graph).find(({ attributes }) => attributes["keyValueHeads"] !== undefined);
  if (attention === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", "learned growth: the model has no attention; take a decoder with plain layers");
  const size = attention.attributes["headSize"] as number;
  const valueSize = (attention.inputs[2]!.shape[1] as number) / (attention.attributes["keyValueHeads"] as number);
  return { fixed: 1, stream: 1, inner: 1, query: size, key: size, value: valueSize, mixed: valueSize };
}

/** For each new channel the one it begins from: heads, or channels where there are none, repeat from the first on. */
export function sourceChannels(from: number, to: number, head: number): Int32Array {
  return Int32Array.from({ length: to }, (_, i) => (Math.floor(i / head) % (from / head)) * head + (i % head));
}

/** Throws FRUGAL_BAD_ARGUMENT where a dimension shrinks, or one grows that cannot. */
export function checkGrowth(name: string, small: Shape | undefined, large: Shape): void {
  const spaces = spacesOf(name);
  const fits = small?.length === large.length && large.every((size, i) => (spaces[i] === "fixed" ? size === small[i] : size >= small[i]!));
  if (fits) return;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `learned growth: "${name}" is ${small === undefined ? "missing" : `[${small.join(", ")}]`} in the small model and [${large.join(", ")}] in the large; widths and layers may grow, vocabulary and heads' sizes stay`,
    { weight: name },
  );
}

/** The decoder that nearly all language models are, from a record that says which variations it has. */
import { symbol } from "../graph/dim.ts";
import type { Graph, Value } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import type { Builder } from "../ops/op.ts";
import { cachedContext, type Context, plainContext } from "./context.ts";
import { layerBlock, type LayerSpec } from "./layer.ts";
import { linear } from "./linear.ts";
import { norm, type NormSpec } from "./norm.ts";

export interface DecoderSpec {
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: readonly LayerSpec[];
  readonly norm: NormSpec;
  /** Width of the embeddings where it is not `width`: they are projected in, and projected back before the head. */
  readonly embeddingWidth?: number | undefined;
  readonly embeddingScale?: number | undefined;
  /** A norm of the embeddings. */
  readonly embeddingNorm?: boolean | undefined;
  /** Rows of a table of learned positions, added to the embeddings. */
  readonly learnedPositions?: number | undefined;
  /** What each part of a layer is multiplied by before it is added. */
  readonly residualScale?: number | undefined;
  readonly finalNorm: boolean;
  /** Whether the head is the embedding's table. */
  readonly tiedHead: boolean;
  readonly logitsScale?: number | undefined;
  /** cap·tanh(logits / cap). */
  readonly logitsSoftcap?: number | undefined;
}

/** `generate`: with a cache of keys and values, for sequences of up to `contextLength` tokens. Inputs and outputs as models/family.ts lists them. */
export function generateGraph(spec: DecoderSpec, contextLength: number): Graph {
  const b = createBuilder();
  return decoder(b, cachedContext(b, contextLength), spec, true);
}

/** `score`: whole sequences, differentiable. */
export function scoreGraph(spec: DecoderSpec): Graph {
  const b = createBuilder();
  return decoder(b, plainContext(b), spec, false);
}

function decoder(b: Builder, context: Context, spec: DecoderSpec, keepsCache: boolean): Graph {
  const tokens = b.input("tokens", { shape: [symbol("T")], type: "i32" });
  const outputRows = b.input("outputRows", { shape: [symbol("R")], type: "i32" });
  let x = embed(b, context, tokens, spec);
  spec.layers.forEach((layer, i) => (x = layerBlock(b, context, i, x, layer, spec)));
  const wanted = b.gather(x, outputRows);
  const normed = spec.finalNorm ? norm(b, "norm", wanted, spec.norm) : wanted;
  const hidden = spec.embeddingWidth === undefined ? normed : linear(b, "projectOut", normed, spec.embeddingWidth);
  const logits = head(b, hidden, spec);
  const outputs = new Map([
    ["logits", logits],
    ["hidden", hidden],
  ]);
  // What greedy decoding takes: found beside the logits, it saves reading them again.
  if (keepsCache) outputs.set("likeliest", b.argmax(logits));
  return { outputs };
}

function embed(b: Builder, context: Context, tokens: Value, spec: DecoderSpec): Value {
  const width = spec.embeddingWidth ?? spec.width;
  let x = b.gather(b.weight("embedding", [spec.vocabulary, width]), tokens);
  if (spec.embeddingScale !== undefined) x = b.scale(x, { by: spec.embeddingScale });
  if (spec.embeddingWidth !== undefined) x = linear(b, "projectIn", x, spec.width);
  if (spec.learnedPositions !== undefined)
    x = b.add(x, b.gather(b.weight("positionEmbedding", [spec.learnedPositions, spec.width]), context.positions));
  return spec.embeddingNorm ? norm(b, "embeddingNorm", x, spec.norm) : x;
}

function head(b: Builder, hidden: Value, spec: DecoderSpec): Value {
  const table = b.weight(spec.tiedHead ? "embedding" : "head", [spec.vocabulary, spec.embeddingWidth ?? spec.width]);
  let logits = b.matmul(hidden, table);
  if (spec.logitsScale !== undefined) logits = b.scale(logits, { by: spec.logitsScale });
  if (spec.logitsSoftcap === undefined) return logits;
  return b.scale(b.tanh(b.scale(logits, { by: 1 / spec.logitsSoftcap })), { by: spec.logitsSoftcap });
}

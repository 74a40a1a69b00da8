/** Encoders of the BERT kind: embeddings of token, place and segment, layers that see both ways, and one vector a sequence. */
import { plus, symbol } from "../graph/dim.ts";
import type { Graph, Value } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import type { Builder } from "../ops/op.ts";
import { plainContext } from "./context.ts";
import { layerBlock, type LayerSpec } from "./layer.ts";
import { linear } from "./linear.ts";
import { norm, type NormSpec } from "./norm.ts";

export interface EncoderSpec {
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: readonly LayerSpec[];
  readonly norm: NormSpec;
  /** Rows of the table of positions. */
  readonly positions: number;
  /** Rows of the table of segments; none without it. */
  readonly segments?: number | undefined;
  readonly pooling: "mean" | "first" | "last";
  /** Whether embeddings are divided by their Euclidean length. */
  readonly normalize: boolean;
  /** tanh of a layer over the first row, as BERT's next-sentence head reads it. */
  readonly pooler: boolean;
  /** Labels for whole sequences: a layer over the pooler's output, or over a layer of its own on the first row. */
  readonly classifier?: { readonly labels: number; readonly over: "pooler" | "tanh" | "relu" } | undefined;
}

/** `embed`: inputs and outputs as models/family.ts lists them. */
export function embedGraph(spec: EncoderSpec): Graph {
  const b = createBuilder();
  const context = plainContext(b);
  const rowOffsets = b.input("rowOffsets", { shape: [plus(symbol("S"), 1)], type: "i32" });
  let x = embed(b, context.positions, spec);
  spec.layers.forEach((layer, i) => (x = layerBlock(b, context, i, x, layer, spec)));
  const pooled = b.pool(x, rowOffsets, { kind: spec.pooling });
  const outputs = new Map([
    ["lastHiddenState", x],
    ["embeddings", spec.normalize ? unitLength(b, pooled) : pooled],
  ]);
  const first = b.pool(x, rowOffsets, { kind: "first" });
  const pooler = spec.pooler ? b.tanh(linear(b, "pooler", first, spec.width, true)) : undefined;
  if (pooler !== undefined) outputs.set("poolerOutput", pooler);
  if (spec.classifier !== undefined) {
    const { labels, over } = spec.classifier;
    const own = over === "pooler" ? undefined : b.activation(linear(b, "classifierInner", first, spec.width, true), { kind: over });
    outputs.set("logits", linear(b, "classifier", own ?? pooler ?? first, labels, true));
  }
  return { outputs };
}

function embed(b: Builder, positions: Value, spec: EncoderSpec): Value {
  const rows = (name: string, count: number, ids: Value): Value => b.gather(b.weight(name, [count, spec.width]), ids);
  const tokens = b.input("tokens", { shape: [symbol("T")], type: "i32" });
  const placed = b.add(rows("embedding", spec.vocabulary, tokens), rows("positionEmbedding", spec.positions, positions));
  if (spec.segments === undefined) return norm(b, "embeddingNorm", placed, spec.norm);
  const segments = b.input("segments", { shape: [symbol("T")], type: "i32" });
  return norm(b, "embeddingNorm", b.add(placed, rows("segmentEmbedding", spec.segments, segments)), spec.norm);
}

/** The tiny summand keeps a row of zeros a row of zeros. */
const unitLength = (b: Builder, x: Value): Value => b.div(x, b.sqrt(b.scale(b.sum(b.mul(x, x), { axis: 1 }), { by: 1, plus: 1e-24 })));

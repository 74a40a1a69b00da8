/** Names of the tensors of BERT-like encoders. */
import type { DecoderConfig } from "./decoder-config.ts";
import { ggufPlaces } from "./decoder-places.ts";
import type { Places } from "./weights-finder.ts";

/** Each entry twice: weight and bias. */
const withBias = (names: Readonly<Record<string, string>>): Places =>
  Object.fromEntries(
    Object.entries(names).flatMap(([weight, name]) => [
      [weight, `${name}.weight`],
      [`${weight}.bias`, `${name}.bias`],
    ]),
  );

export function bertPlaces(prefix: string, classifier: Readonly<Record<string, string>>): Places {
  const layer = `${prefix}encoder.layer.#`;
  return {
    embedding: `${prefix}embeddings.word_embeddings.weight`,
    positionEmbedding: `${prefix}embeddings.position_embeddings.weight`,
    segmentEmbedding: `${prefix}embeddings.token_type_embeddings.weight`,
    ...withBias({
      embeddingNorm: `${prefix}embeddings.LayerNorm`,
      "layers.#.attention.query": `${layer}.attention.self.query`,
      "layers.#.attention.key": `${layer}.attention.self.key`,
      "layers.#.attention.value": `${layer}.attention.self.value`,
      "layers.#.attention.output": `${layer}.attention.output.dense`,
      "layers.#.attentionNorm": `${layer}.attention.output.LayerNorm`,
      "layers.#.mlp.up": `${layer}.intermediate.dense`,
      "layers.#.mlp.down": `${layer}.output.dense`,
      "layers.#.mlpNorm": `${layer}.output.LayerNorm`,
      pooler: `${prefix}pooler.dense`,
      ...classifier,
    }),
  };
}

export function distilbertPlaces(): Places {
  const layer = "distilbert.transformer.layer.#";
  return {
    embedding: "distilbert.embeddings.word_embeddings.weight",
    positionEmbedding: "distilbert.embeddings.position_embeddings.weight",
    ...withBias({
      embeddingNorm: "distilbert.embeddings.LayerNorm",
      "layers.#.attention.query": `${layer}.attention.q_lin`,
      "layers.#.attention.key": `${layer}.attention.k_lin`,
      "layers.#.attention.value": `${layer}.attention.v_lin`,
      "layers.#.attention.output": `${layer}.attention.out_lin`,
      "layers.#.attentionNorm": `${layer}.sa_layer_norm`,
      "layers.#.mlp.up": `${layer}.ffn.lin1`,
      "layers.#.mlp.down": `${layer}.ffn.lin2`,
      "layers.#.mlpNorm": `${layer}.output_layer_norm`,
      classifierInner: "pre_classifier",
      classifier: "classifier",
    }),
  };
}

export const ggufEncoderPlaces = (config: DecoderConfig): Places => ({
  ...ggufPlaces(config, 0),
  positionEmbedding: "position_embd.weight",
  segmentEmbedding: "token_types.weight",
  ...withBias({
    embeddingNorm: "token_embd_norm",
    "layers.#.attentionNorm": "blk.#.attn_output_norm",
    "layers.#.mlp.up": "blk.#.ffn_up",
    "layers.#.mlpNorm": "blk.#.layer_output_norm",
  }),
});

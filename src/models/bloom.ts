/** BLOOM: positions as a bias on scores (ALiBi), a norm after the embeddings, queries, keys and values stored head by head. */
import { alibiSlopes } from "../blocks/alibi.ts";
import type { LayerSpec } from "../blocks/layer.ts";
import { openConfig, readDecoderConfig, readTied } from "./decoder-config.ts";
import { ggufPlainPlaces } from "./decoder-places.ts";
import type { Checkpoint, Model, ModelFamily } from "./family.ts";
import { fusedByHead } from "./gpt-neox.ts";
import { countKept, textModel } from "./text-model.ts";
import type { Places } from "./weights-finder.ts";

export const bloom: ModelFamily = { name: "BLOOM", modelTypes: ["bloom"], ggufArchitectures: ["bloom"], open };

/** Nothing in the model ends the context; what it was trained with, where the configuration does not say. */
const trainedLength = 2048;

function open(checkpoint: Checkpoint): Model {
  const reader = openConfig(checkpoint);
  const named = (...keys: readonly [string, string]): string => (reader.has(keys[0]) ? keys[0] : keys[1]);
  const config = readDecoderConfig(
    checkpoint,
    reader,
    {
      width: named("n_embed", "hidden_size"),
      layers: named("n_layer", "num_hidden_layers"),
      heads: named("n_head", "num_attention_heads"),
      contextLength: "seq_length",
    },
    { contextLength: trainedLength },
  );
  const { gguf, width, heads, headSize, contextLength, layers, vocabulary } = config;
  reader.ignore(
    "hidden_size",
    "attention_softmax_in_fp32",
    "masked_softmax_fusion",
    "bias_dropout_fusion",
    "skip_bias_add",
    "skip_bias_add_qkv",
    "slow_but_exact",
    "offset_alibi",
  );
  if (!gguf) reader.expect("n_inner", 4 * width);
  const epsilon = reader.positive(gguf ? "attention.layer_norm_epsilon" : "layer_norm_epsilon", gguf ? undefined : 1e-5);
  const normed = !gguf && reader.flag("apply_residual_connection_post_layernorm", false);
  const tied = readTied(checkpoint, reader, "lm_head.weight", true);
  const hidden = gguf ? reader.size("feed_forward_length") : 4 * width;
  const layer: LayerSpec = {
    placement: normed ? "normed" : "pre",
    attention: {
      heads,
      keyValueHeads: heads,
      headSize,
      scale: headSize ** -0.5,
      inputBias: true,
      outputBias: true,
      slopes: alibiSlopes(heads),
    },
    mlp: { hidden, activation: "geluTanh", gated: false, bias: true },
  };
  return textModel({
    family: "BLOOM",
    checkpoint,
    reader,
    contextLength,
    positionsOf: countKept,
    spec: () => ({
      vocabulary,
      width,
      layers: Array.from({ length: layers }, () => layer),
      norm: { kind: "layer", epsilon },
      embeddingNorm: true,
      finalNorm: true,
      tiedHead: tied,
    }),
    huggingface: huggingfacePlaces(heads),
    gguf: ggufPlainPlaces(config),
    basePrefix: "transformer.",
  });
}

function huggingfacePlaces(heads: number): Places {
  const layer = "transformer.h.#";
  return {
    embedding: "transformer.word_embeddings.weight",
    embeddingNorm: "transformer.word_embeddings_layernorm.weight",
    "embeddingNorm.bias": "transformer.word_embeddings_layernorm.bias",
    norm: "transformer.ln_f.weight",
    "norm.bias": "transformer.ln_f.bias",
    head: "lm_head.weight",
    "layers.#.attentionNorm": `${layer}.input_layernorm.weight`,
    "layers.#.attentionNorm.bias": `${layer}.input_layernorm.bias`,
    "layers.#.mlpNorm": `${layer}.post_attention_layernorm.weight`,
    "layers.#.mlpNorm.bias": `${layer}.post_attention_layernorm.bias`,
    ...fusedByHead(`${layer}.self_attention.query_key_value`, heads),
    "layers.#.attention.output": `${layer}.self_attention.dense.weight`,
    "layers.#.attention.output.bias": `${layer}.self_attention.dense.bias`,
    "layers.#.mlp.up": `${layer}.mlp.dense_h_to_4h.weight`,
    "layers.#.mlp.up.bias": `${layer}.mlp.dense_h_to_4h.bias`,
    "layers.#.mlp.down": `${layer}.mlp.dense_4h_to_h.weight`,
    "layers.#.mlp.down.bias": `${layer}.mlp.dense_4h_to_h.bias`,
  };
}

/** OPT: learned positions whose table has two rows nobody uses, norms before each part (the 350M model: after), ReLU. */
import type { LayerSpec } from "../blocks/layer.ts";
import { readActivation } from "./activation-config.ts";
import { openConfig, readDecoderConfig, readTied, usualSizeKeys } from "./decoder-config.ts";
import type { Checkpoint, Model, ModelFamily } from "./family.ts";
import { countKept, textModel } from "./text-model.ts";
import { afterRows } from "./weight-places.ts";
import type { Places } from "./weights-finder.ts";

export const opt: ModelFamily = { name: "OPT", modelTypes: ["opt"], ggufArchitectures: [], open };

function open(checkpoint: Checkpoint): Model {
  const reader = openConfig(checkpoint);
  const { width, heads, headSize, contextLength, layers, vocabulary } = readDecoderConfig(checkpoint, reader, usualSizeKeys);
  const bias = reader.flag("enable_bias", true);
  const before = reader.flag("do_layer_norm_before", true);
  const removed = reader.flag("_remove_final_layer_norm", false);
  const embeddingWidth = reader.size("word_embed_proj_dim", width);
  const tied = readTied(checkpoint, reader, "lm_head.weight", true);
  const bare = !reader.flag("layer_norm_elementwise_affine", true);
  const layer: LayerSpec = {
    placement: before ? "pre" : "post",
    attention: { heads, keyValueHeads: heads, headSize, scale: headSize ** -0.5, inputBias: bias, outputBias: bias },
    mlp: { hidden: reader.size("ffn_dim"), activation: readActivation(reader, "activation_function", "relu"), gated: false, bias },
  };
  return textModel({
    family: "OPT",
    checkpoint,
    reader,
    contextLength,
    positionsOf: countKept,
    spec: () => ({
      vocabulary,
      width,
      layers: Array.from({ length: layers }, () => layer),
      norm: { kind: "layer", epsilon: 1e-5, bare },
      embeddingWidth: embeddingWidth === width ? undefined : embeddingWidth,
      learnedPositions: contextLength,
      finalNorm: before && !removed,
      tiedHead: tied,
    }),
    huggingface: places,
    basePrefix: "model.",
  });
}

const decoder = "model.decoder";
const layer = `${decoder}.layers.#`;
const places: Places = {
  embedding: `${decoder}.embed_tokens.weight`,
  positionEmbedding: afterRows(`${decoder}.embed_positions.weight`, 2),
  projectIn: `${decoder}.project_in.weight`,
  projectOut: `${decoder}.project_out.weight`,
  norm: `${decoder}.final_layer_norm.weight`,
  "norm.bias": `${decoder}.final_layer_norm.bias`,
  head: "lm_head.weight",
  "layers.#.attentionNorm": `${layer}.self_attn_layer_norm.weight`,
  "layers.#.attentionNorm.bias": `${layer}.self_attn_layer_norm.bias`,
  "layers.#.mlpNorm": `${layer}.final_layer_norm.weight`,
  "layers.#.mlpNorm.bias": `${layer}.final_layer_norm.bias`,
  "layers.#.attention.query": `${layer}.self_attn.q_proj.weight`,
  "layers.#.attention.query.bias": `${layer}.self_attn.q_proj.bias`,
  "layers.#.attention.key": `${layer}.self_attn.k_proj.weight`,
  "layers.#.attention.key.bias": `${layer}.self_attn.k_proj.bias`,
  "layers.#.attention.value": `${layer}.self_attn.v_proj.weight`,
  "layers.#.attention.value.bias": `${layer}.self_attn.v_proj.bias`,
  "layers.#.attention.output": `${layer}.self_attn.out_proj.weight`,
  "layers.#.attention.output.bias": `${layer}.self_attn.out_proj.bias`,
  "layers.#.mlp.up": `${layer}.fc1.weight`,
  "layers.#.mlp.up.bias": `${layer}.fc1.bias`,
  "layers.#.mlp.down": `${layer}.fc2.weight`,
  "layers.#.mlp.down.bias": `${layer}.fc2.bias`,
};

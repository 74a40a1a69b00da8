/** GPT-2: learned positions, layer norms, matrices stored as [inputs, outputs] with queries, keys and values side by side. */
import type { LayerSpec } from "../blocks/layer.ts";
import { openConfig, readDecoderConfig, readTied } from "./decoder-config.ts";
import { ggufPlainPlaces } from "./decoder-places.ts";
import type { Checkpoint, Model, ModelFamily } from "./family.ts";
import { readActivation } from "./activation-config.ts";
import { textModel } from "./text-model.ts";
import { part, transposed } from "./weight-places.ts";
import type { Places } from "./weights-finder.ts";

export const gpt2: ModelFamily = { name: "GPT-2", modelTypes: ["gpt2"], ggufArchitectures: ["gpt2"], open };

function open(checkpoint: Checkpoint): Model {
  const reader = openConfig(checkpoint);
  const config = readDecoderConfig(checkpoint, reader, {
    width: "n_embd",
    layers: "n_layer",
    heads: "n_head",
    contextLength: "n_positions",
  });
  const { gguf, width, heads, headSize, contextLength, layers, vocabulary } = config;
  reader.ignore(
    "n_ctx",
    "reorder_and_upcast_attn",
    "n_special",
    "predict_special_tokens",
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_proj_to_labels",
    "summary_first_dropout",
  );
  const hidden = gguf ? reader.size("feed_forward_length") : reader.size("n_inner", 4 * width);
  const activation = gguf ? "geluTanh" : readActivation(reader, "activation_function", "geluTanh");
  const epsilon = reader.positive(gguf ? "attention.layer_norm_epsilon" : "layer_norm_epsilon", gguf ? undefined : 1e-5);
  const scale = gguf || reader.flag("scale_attn_weights", true) ? headSize ** -0.5 : 1;
  const byLayer = !gguf && reader.flag("scale_attn_by_inverse_layer_idx", false);
  const tied = readTied(checkpoint, reader, "lm_head.weight", true);
  const layer = (i: number): LayerSpec => ({
    placement: "pre",
    attention: { heads, keyValueHeads: heads, headSize, scale: byLayer ? scale / (i + 1) : scale, inputBias: true, outputBias: true },
    mlp: { hidden, activation, gated: false, bias: true },
  });
  return textModel({
    family: "GPT-2",
    checkpoint,
    reader,
    contextLength,
    spec: () => ({
      vocabulary,
      width,
      layers: Array.from({ length: layers }, (_, i) => layer(i)),
      norm: { kind: "layer", epsilon },
      learnedPositions: contextLength,
      finalNorm: true,
      tiedHead: tied,
    }),
    huggingface: huggingfacePlaces(width),
    gguf: ggufPlainPlaces(config),
    basePrefix: "transformer.",
    ignorable: [/^(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)$/],
  });
}

function huggingfacePlaces(width: number): Places {
  const layer = "transformer.h.#";
  const inputs = (before: number, name: string): Places => ({
    [`layers.#.attention.${name}`]: transposed(`${layer}.attn.c_attn.weight`, before, 3 * width),
    [`layers.#.attention.${name}.bias`]: part(`${layer}.attn.c_attn.bias`, before, 3 * width),
  });
  return {
    embedding: "transformer.wte.weight",
    positionEmbedding: "transformer.wpe.weight",
    norm: "transformer.ln_f.weight",
    "norm.bias": "transformer.ln_f.bias",
    head: "lm_head.weight",
    "layers.#.attentionNorm": `${layer}.ln_1.weight`,
    "layers.#.attentionNorm.bias": `${layer}.ln_1.bias`,
    "layers.#.mlpNorm": `${layer}.ln_2.weight`,
    "layers.#.mlpNorm.bias": `${layer}.ln_2.bias`,
    ...inputs(0, "query"),
    ...inputs(width, "key"),
    ...inputs(2 * width, "value"),
    "layers.#.attention.output": transposed(`${layer}.attn.c_proj.weight`),
    "layers.#.attention.output.bias": `${layer}.attn.c_proj.bias`,
    "layers.#.mlp.up": transposed(`${layer}.mlp.c_fc.weight`),
    "layers.#.mlp.up.bias": `${layer}.mlp.c_fc.bias`,
    "layers.#.mlp.down": transposed(`${layer}.mlp.c_proj.weight`),
    "layers.#.mlp.down.bias": `${layer}.mlp.c_proj.bias`,
  };
}

/** GPT-NeoX and Pythia: attention and MLP side by side, heads turned in part, queries, keys and values stored head by head. */
import type { LayerSpec } from "../blocks/layer.ts";
import { readActivation } from "./activation-config.ts";
import { openConfig, readDecoderConfig, readTied, usualSizeKeys } from "./decoder-config.ts";
import { ggufPlainPlaces } from "./decoder-places.ts";
import type { Checkpoint, Model, ModelFamily } from "./family.ts";
import { dependsOnLength, ggufRope, huggingfaceRope, ropeSpec } from "./rope-config.ts";
import { textModel } from "./text-model.ts";
import { byHead } from "./weight-places.ts";
import type { Places } from "./weights-finder.ts";

export const gptNeox: ModelFamily = { name: "GPT-NeoX", modelTypes: ["gpt_neox"], ggufArchitectures: ["gptneox"], open };

function open(checkpoint: Checkpoint): Model {
  const reader = openConfig(checkpoint);
  const config = readDecoderConfig(checkpoint, reader, usualSizeKeys);
  const { gguf, width, heads, headSize, contextLength, layers, vocabulary } = config;
  const rope = gguf
    ? ggufRope(reader, { headSize, contextLength })
    : huggingfaceRope(reader, {
        headSize,
        contextLength,
        base: reader.positive("rotary_emb_base", 10000),
        partial: reader.positive("rotary_pct", 0.25),
      });
  const epsilon = reader.positive(gguf ? "attention.layer_norm_epsilon" : "layer_norm_eps", gguf ? undefined : 1e-5);
  const parallel = reader.flag("use_parallel_residual", true);
  const bias = gguf ? checkpoint.tensors.has("blk.0.attn_output.bias") : reader.flag("attention_bias", true);
  const tied = readTied(checkpoint, reader, "embed_out.weight", false);
  const hidden = reader.size(gguf ? "feed_forward_length" : "intermediate_size");
  // GGUF has no word for the activation; nearly all models of the family have this one.
  const activation = gguf ? "gelu" : readActivation(reader, "hidden_act", "gelu");
  const layer = (turn: ReturnType<typeof ropeSpec>): LayerSpec => ({
    placement: parallel ? "parallel" : "pre",
    attention: { heads, keyValueHeads: heads, headSize, scale: headSize ** -0.5, inputBias: bias, outputBias: bias, rope: turn },
    mlp: { hidden, activation, gated: false, bias: true },
  });
  return textModel({
    family: "GPT-NeoX",
    checkpoint,
    reader,
    contextLength,
    dependsOnLength: dependsOnLength(rope),
    spec(longest) {
      const same = layer(ropeSpec(rope, "half", longest));
      return {
        vocabulary,
        width,
        layers: Array.from({ length: layers }, () => same),
        norm: { kind: "layer", epsilon },
        finalNorm: true,
        tiedHead: tied,
      };
    },
    huggingface: huggingfacePlaces(heads),
    gguf: ggufPlainPlaces(config),
    basePrefix: "gpt_neox.",
    ignorable: [/attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/],
  });
}

function huggingfacePlaces(heads: number): Places {
  const layer = "gpt_neox.layers.#";
  const inputs = `${layer}.attention.query_key_value`;
  return {
    embedding: "gpt_neox.embed_in.weight",
    norm: "gpt_neox.final_layer_norm.weight",
    "norm.bias": "gpt_neox.final_layer_norm.bias",
    head: "embed_out.weight",
    "layers.#.attentionNorm": `${layer}.input_layernorm.weight`,
    "layers.#.attentionNorm.bias": `${layer}.input_layernorm.bias`,
    "layers.#.mlpNorm": `${layer}.post_attention_layernorm.weight`,
    "layers.#.mlpNorm.bias": `${layer}.post_attention_layernorm.bias`,
    ...fusedByHead(inputs, heads),
    "layers.#.attention.output": `${layer}.attention.dense.weight`,
    "layers.#.attention.output.bias": `${layer}.attention.dense.bias`,
    "layers.#.mlp.up": `${layer}.mlp.dense_h_to_4h.weight`,
    "layers.#.mlp.up.bias": `${layer}.mlp.dense_h_to_4h.bias`,
    "layers.#.mlp.down": `${layer}.mlp.dense_4h_to_h.weight`,
    "layers.#.mlp.down.bias": `${layer}.mlp.dense_4h_to_h.bias`,
  };
}

/** Queries, keys and values with biases, of one tensor that holds them head by head. */
export function fusedByHead(tensor: string, heads: number): Places {
  const names = ["query", "key", "value"] as const;
  return Object.fromEntries(
    names.flatMap((name, i) => [
      [`layers.#.attention.${name}`, byHead(`${tensor}.weight`, heads, i as 0 | 1 | 2)],
      [`layers.#.attention.${name}.bias`, byHead(`${tensor}.bias`, heads, i as 0 | 1 | 2)],
    ]),
  );
}

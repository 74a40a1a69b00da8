/** Qwen 3, plain and with experts: norms of queries and keys by head. */
import type { ExpertsSpec } from "../blocks/experts.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModelFamily } from "./family.ts";
import { readActivation } from "./activation-config.ts";
import { openGatedDecoder, type Variation } from "./gated-decoder.ts";
import { readQwenWindows } from "./qwen2.ts";

export const qwen3: ModelFamily = {
  name: "Qwen 3",
  modelTypes: ["qwen3"],
  ggufArchitectures: ["qwen3"],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, {
      name: "Qwen 3",
      ggufRope: "half",
      sizes: { headSize: 128 },
      vary: (config) => ({ ...attention(config), window: readQwenWindows(config, 28) }),
    }),
};

export const qwen3Moe: ModelFamily = {
  name: "Qwen 3 MoE",
  modelTypes: ["qwen3_moe"],
  ggufArchitectures: ["qwen3moe"],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, {
      name: "Qwen 3 MoE",
      ggufRope: "half",
      vary(config) {
        config.reader.ignore(...(config.gguf ? [] : ["max_window_layers"]));
        const window = readQwenWindows(config, 0);
        return { ...attention(config), window: window, experts: readExperts(config) };
      },
    }),
};

function attention({ reader, gguf }: DecoderConfig): Variation {
  const epsilon = reader.positive(gguf ? "attention.layer_norm_rms_epsilon" : "rms_norm_eps", gguf ? undefined : 1e-6);
  const bias = gguf ? {} : { inputBias: reader.flag("attention_bias", false), outputBias: reader.flag("attention_bias", false) };
  return { ...bias, attention: { queryKeyNorm: { over: "head", epsilon } } };
}

/** Experts by layer: every `decoder_sparse_step`-th has them, but those of `mlp_only_layers`. */
function readExperts({ reader, gguf }: DecoderConfig): (layer: number) => ExpertsSpec | undefined {
  if (gguf) {
    const experts: ExpertsSpec = {
      experts: reader.size("expert_count"),
      active: reader.size("expert_used_count"),
      hidden: reader.size("expert_feed_forward_length"),
      activation: "silu",
      normalize: reader.flag("expert_weights_norm", true),
    };
    return () => experts;
  }
  const experts: ExpertsSpec = {
    experts: reader.size("num_experts", reader.size("num_local_experts", 128)),
    active: reader.size("num_experts_per_tok", 8),
    hidden: reader.size("moe_intermediate_size", 768),
    activation: readActivation(reader, "hidden_act", "silu"),
    normalize: reader.flag("norm_topk_prob", false),
  };
  const step = reader.size("decoder_sparse_step", 1);
  const plain = new Set(reader.numbers("mlp_only_layers") ?? []);
  return (layer) => (plain.has(layer) || (layer + 1) % step !== 0 ? undefined : experts);
}

/** OLMoE: experts in every layer, queries and keys normalised over all heads at once, and clipped where the configuration asks for it. */
import type { ExpertsSpec } from "../blocks/experts.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModelFamily } from "./family.ts";
import { readActivation } from "./activation-config.ts";
import { openGatedDecoder, type Variation } from "./gated-decoder.ts";

export const olmoe: ModelFamily = {
  name: "OLMoE",
  modelTypes: ["olmoe"],
  ggufArchitectures: ["olmoe"],
  open: (checkpoint) => openGatedDecoder(checkpoint, { name: "OLMoE", ggufRope: "half", epsilon: 1e-5, vary }),
};

function vary({ reader, gguf }: DecoderConfig): Variation {
  const epsilon = reader.positive(gguf ? "attention.layer_norm_rms_epsilon" : "rms_norm_eps", gguf ? undefined : 1e-5);
  const experts: ExpertsSpec = {
    experts: gguf ? reader.size("expert_count") : reader.size("num_experts", 64),
    active: gguf ? reader.size("expert_used_count") : reader.size("num_experts_per_tok", 8),
    hidden: reader.size(gguf ? "feed_forward_length" : "intermediate_size"),
    activation: gguf ? "silu" : readActivation(reader, "hidden_act", "silu"),
    normalize: gguf ? false : reader.flag("norm_topk_prob", false),
  };
  const clip = reader.positive(gguf ? "attention.clamp_kqv" : "clip_qkv", Infinity);
  const bias = gguf ? {} : { inputBias: reader.flag("attention_bias", false), outputBias: reader.flag("attention_bias", false) };
  return {
    ...bias,
    experts: () => experts,
    attention: { queryKeyNorm: { over: "row", epsilon }, ...(clip === Infinity ? {} : { clip }) },
  };
}

/** Gemma 2: sandwich norms, capped scores and logits, every second layer with a window. */
import type { ModelFamily } from "./family.ts";
import { readActivation } from "./activation-config.ts";
import { openGatedDecoder, type Variation } from "./gated-decoder.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import { plusOne } from "./weight-places.ts";
import type { Places } from "./weights-finder.ts";
import { readWindows } from "./window-config.ts";

/** Norms as Gemma names them, stored as differences from 1; in GGUF the 1 is already added. */
export const gemmaPlaces: Places = {
  norm: plusOne("model.norm.weight"),
  "layers.#.attentionNorm": plusOne("model.layers.#.input_layernorm.weight"),
  "layers.#.attentionOutputNorm": plusOne("model.layers.#.post_attention_layernorm.weight"),
  "layers.#.mlpNorm": plusOne("model.layers.#.pre_feedforward_layernorm.weight"),
  "layers.#.mlpOutputNorm": plusOne("model.layers.#.post_feedforward_layernorm.weight"),
  "layers.#.attention.queryNorm": plusOne("model.layers.#.self_attn.q_norm.weight"),
  "layers.#.attention.keyNorm": plusOne("model.layers.#.self_attn.k_norm.weight"),
};

export const gemma2: ModelFamily = {
  name: "Gemma 2",
  modelTypes: ["gemma2"],
  ggufArchitectures: ["gemma2"],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, { name: "Gemma 2", ggufRope: "half", tiedByDefault: true, sizes: { headSize: 256 }, vary }),
};

function vary(config: DecoderConfig): Variation {
  const { reader, gguf, headSize, heads, width, layers } = config;
  // The converter drops the scalar; only the largest Gemma 2 has one that is not the head's size.
  const scalar = gguf ? (layers === 46 ? width / heads : headSize) : reader.positive("query_pre_attn_scalar", 256);
  reader.ignore(...(gguf ? [] : ["hidden_act"]));
  reader.expect("use_bidirectional_attention", false);
  const cap = (key: string): number => reader.positive(key, Infinity);
  const softcap = cap("attn_logit_softcapping");
  const logitsSoftcap = cap("final_logit_softcapping");
  const bias = gguf ? {} : { inputBias: reader.flag("attention_bias", false), outputBias: reader.flag("attention_bias", false) };
  return {
    ...bias,
    activation: gguf ? "geluTanh" : readActivation(reader, "hidden_activation", "geluTanh"),
    placement: "sandwich",
    attention: { scale: scalar ** -0.5, ...(softcap === Infinity ? {} : { softcap }) },
    window: readWindows(config, { pattern: 2, window: 4096 }),
    decoder: { embeddingScale: Math.sqrt(width), ...(logitsSoftcap === Infinity ? {} : { logitsSoftcap }) },
    places: gemmaPlaces,
  };
}

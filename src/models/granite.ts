/** Granite 3: Llama with multipliers on embeddings, residuals, scores and logits. */
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModelFamily } from "./family.ts";
import { openGatedDecoder, type Variation } from "./gated-decoder.ts";

export const granite: ModelFamily = {
  name: "Granite",
  modelTypes: ["granite"],
  ggufArchitectures: ["granite"],
  open: (checkpoint) => openGatedDecoder(checkpoint, { name: "Granite", ggufRope: "interleaved", vary }),
};

function vary({ reader, gguf, headSize }: DecoderConfig): Variation {
  const [embedding, residual, attention, logits] = gguf
    ? ["embedding_scale", "residual_scale", "attention.scale", "logit_scale"]
    : ["embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"];
  const bias = gguf ? undefined : reader.flag("attention_bias", false);
  const scale = reader.number(attention!, gguf ? 0 : 1);
  return {
    ...(bias === undefined ? {} : { inputBias: bias, outputBias: bias, mlpBias: reader.flag("mlp_bias", false) }),
    attention: { scale: scale === 0 && gguf ? headSize ** -0.5 : scale },
    decoder: {
      embeddingScale: multiplier(reader.number(embedding!, 1)),
      residualScale: multiplier(reader.number(residual!, 1)),
      logitsScale: multiplier(1 / reader.positive(logits!, 1)),
    },
  };
}

const multiplier = (by: number): number | undefined => (by === 1 ? undefined : by);

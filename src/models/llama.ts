/** Llama 2 and 3, and the files of its architecture: Mistral, Mixtral and others as GGUF call themselves so. */
import type { ExpertsSpec } from "../blocks/experts.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModelFamily } from "./family.ts";
import { openGatedDecoder } from "./gated-decoder.ts";

export const llama: ModelFamily = {
  name: "Llama",
  modelTypes: ["llama"],
  ggufArchitectures: ["llama"],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, {
      name: "Llama",
      ggufRope: "interleaved",
      vary(config) {
        if (config.gguf) return ggufVariation(config);
        config.reader.expect("rope_interleaved", false);
        const bias = config.reader.flag("attention_bias", false);
        return { inputBias: bias, outputBias: bias, mlpBias: config.reader.flag("mlp_bias", false) };
      },
    }),
};

/** Mixtral's experts and a window, where the metadata has them. */
function ggufVariation({ reader }: DecoderConfig): { experts?: () => ExpertsSpec; window?: () => number } {
  const window = reader.size("attention.sliding_window", 0, 0);
  const count = reader.size("expert_count", 0, 0);
  if (count === 0) {
    reader.expect("expert_used_count", 0);
    return window === 0 ? {} : { window: () => window };
  }
  const experts: ExpertsSpec = {
    experts: count,
    active: reader.size("expert_used_count"),
    hidden: reader.size("feed_forward_length"),
    activation: "silu",
    normalize: true,
  };
  return { experts: () => experts, ...(window === 0 ? {} : { window: () => window }) };
}

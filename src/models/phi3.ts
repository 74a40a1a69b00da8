/** Phi-3, 3.5, 4 and 4-mini: Llama with fused tensors, LongRoPE, partly rotated heads and a window. */
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModelFamily } from "./family.ts";
import { openGatedDecoder } from "./gated-decoder.ts";
import { part } from "./weight-places.ts";
import type { Places } from "./weights-finder.ts";
import { readWindows } from "./window-config.ts";

export const phi3: ModelFamily = {
  name: "Phi-3",
  modelTypes: ["phi3"],
  ggufArchitectures: ["phi3"],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, {
      name: "Phi-3",
      ggufRope: "half",
      epsilon: 1e-5,
      vary(config) {
        for (const bias of ["attention_bias", "mlp_bias", "lm_head_bias"]) config.reader.expect(bias, false);
        for (const factor of ["full_attn_mod", "interpolate_factor"]) config.reader.expect(factor, 1);
        const window = readWindows(config, { pattern: 0 });
        const hidden = config.reader.size(config.gguf ? "feed_forward_length" : "intermediate_size");
        return { window, places: fused(config, hidden) };
      },
    }),
};

function fused({ heads, keyValueHeads, headSize }: DecoderConfig, hidden: number): Places {
  const [query, key] = [heads * headSize, keyValueHeads * headSize];
  const inputs = "model.layers.#.self_attn.qkv_proj.weight";
  const mlp = "model.layers.#.mlp.gate_up_proj.weight";
  return {
    "layers.#.attention.query": part(inputs, 0, query + 2 * key),
    "layers.#.attention.key": part(inputs, query, query + 2 * key),
    "layers.#.attention.value": part(inputs, query + key, query + 2 * key),
    "layers.#.mlp.gate": part(mlp, 0, 2 * hidden),
    "layers.#.mlp.up": part(mlp, hidden, 2 * hidden),
  };
}

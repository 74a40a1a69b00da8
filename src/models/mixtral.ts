/** Mixtral: Mistral with experts. As GGUF it calls itself llama. */
import type { ExpertsSpec } from "../blocks/experts.ts";
import type { ModelFamily } from "./family.ts";
import { readActivation } from "./activation-config.ts";
import { openGatedDecoder } from "./gated-decoder.ts";
import { perExpert } from "./weight-places.ts";
import type { Places } from "./weights-finder.ts";
import { readWindows } from "./window-config.ts";

const moe = "model.layers.#.block_sparse_moe";
const places: Places = {
  "layers.#.experts.router": `${moe}.gate.weight`,
  "layers.#.experts.gate": perExpert(`${moe}.experts.@.w1.weight`),
  "layers.#.experts.up": perExpert(`${moe}.experts.@.w3.weight`),
  "layers.#.experts.down": perExpert(`${moe}.experts.@.w2.weight`),
};

export const mixtral: ModelFamily = {
  name: "Mixtral",
  modelTypes: ["mixtral"],
  ggufArchitectures: [],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, {
      name: "Mixtral",
      ggufRope: "interleaved",
      vary(config) {
        const { reader } = config;
        const experts: ExpertsSpec = {
          experts: reader.size("num_local_experts", 8),
          active: reader.size("num_experts_per_tok", 2),
          hidden: reader.size("intermediate_size"),
          activation: readActivation(reader, "hidden_act", "silu"),
          normalize: true,
        };
        return { experts: () => experts, window: readWindows(config, { pattern: 0 }), places };
      },
    }),
};

/** Mixtral: Mistral with experts. As GGUF it calls itself llama. */
import type { ExpertsSpec } from "../blocks/experts.ts";
import { expertPlaces } from "./decoder-places.ts";
import type { ModelFamily } from "./family.ts";
import { readActivation } from "./activation-config.ts";
import { openGatedDecoder } from "./gated-decoder.ts";
import type { Places } from "./weights-finder.ts";
import { readWindows } from "./window-config.ts";

const moe = "model.layers.#.block_sparse_moe";
const places: Places = {
  "layers.#.experts.router": `${moe}.gate.weight`,
  ...expertPlaces(`${moe}.experts`, "w1", "w3", "w2"),
};

export const mixtral: ModelFamily = {
  name: "Mixtral",
  modelTypes: ["mixtral"],
  ggufArchitectures: [],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, {
      name: "Mixtral",
      ggufRope: "interleaved",
      epsilon: 1e-5,
      ropeBase: 1e6,
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

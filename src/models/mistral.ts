/** Mistral: Llama whose layers see a window. As GGUF it calls itself llama. */
import type { ModelFamily } from "./family.ts";
import { openGatedDecoder } from "./gated-decoder.ts";
import { readWindows } from "./window-config.ts";

export const mistral: ModelFamily = {
  name: "Mistral",
  modelTypes: ["mistral"],
  ggufArchitectures: [],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, {
      name: "Mistral",
      ggufRope: "interleaved",
      vary: (config) => ({ window: readWindows(config, { pattern: 0, window: 4096 }) }),
    }),
};

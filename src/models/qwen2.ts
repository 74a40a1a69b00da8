/** Qwen 2 and 2.5: Llama with biases on queries, keys and values; from some layer on with a window where the configuration asks for it. */
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModelFamily } from "./family.ts";
import { openGatedDecoder } from "./gated-decoder.ts";
import { readWindows } from "./window-config.ts";

export const qwen2: ModelFamily = {
  name: "Qwen 2",
  modelTypes: ["qwen2"],
  ggufArchitectures: ["qwen2"],
  open: (checkpoint) =>
    openGatedDecoder(checkpoint, {
      name: "Qwen 2",
      ggufRope: "half",
      vary: (config) => ({ inputBias: true, window: readQwenWindows(config, 28) }),
    }),
};

/** `use_sliding_window` switches the window on, for layers from `max_window_layers` on unless `layer_types` names them. */
export function readQwenWindows(config: DecoderConfig, usualFirst: number): (layer: number) => number | undefined {
  const { reader, gguf } = config;
  reader.expect("use_mrope", false);
  const slides = !gguf && reader.flag("use_sliding_window", false);
  const first = gguf ? 0 : reader.size("max_window_layers", usualFirst, 0);
  const named = reader.has("layer_types");
  const windows = readWindows(config, { pattern: 0, ...(gguf ? {} : { window: 4096 }) });
  return (layer) => (slides && (named || layer >= first) ? windows(layer) : undefined);
}

/** SmolLM3: Llama in which every fourth layer has no positions at all. */
import type { DecoderConfig } from "./decoder-config.ts";
import type { ModelFamily } from "./family.ts";
import { openGatedDecoder, type Variation } from "./gated-decoder.ts";
import { ggufRope, huggingfaceRope } from "./rope-config.ts";
import { readWindows } from "./window-config.ts";

export const smollm3: ModelFamily = {
  name: "SmolLM3",
  modelTypes: ["smollm3"],
  ggufArchitectures: ["smollm3"],
  open: (checkpoint) => openGatedDecoder(checkpoint, { name: "SmolLM3", ggufRope: "interleaved", tiedByDefault: true, vary }),
};

function vary(config: DecoderConfig): Variation {
  const { reader, gguf, headSize, contextLength } = config;
  const settings = (gguf ? ggufRope : huggingfaceRope)(reader, { headSize, contextLength, ...(gguf ? {} : { base: 2e6 }) });
  const turns = gguf ? everyFourthIsStill : turningLayers(config);
  const rope = (layer: number): typeof settings | undefined => (turns(layer) ? settings : undefined);
  if (gguf) return { rope };
  const bias = reader.flag("attention_bias", false);
  const slides = reader.flag("use_sliding_window", false);
  const named = reader.has("layer_types");
  const windows = readWindows(config, { pattern: 0 });
  reader.ignore("max_window_layers");
  return {
    rope,
    inputBias: bias,
    outputBias: bias,
    mlpBias: reader.flag("mlp_bias", false),
    window: (layer) => (named || (slides && !turns(layer)) ? windows(layer) : undefined),
  };
}

const everyFourthIsStill = (layer: number): boolean => (layer + 1) % 4 !== 0;

/** `no_rope_layers` holds 1 for a layer with rotary positions, whatever its name says. */
function turningLayers({ reader, layers }: DecoderConfig): (layer: number) => boolean {
  const interval = reader.size("no_rope_layer_interval", 4);
  const list = reader.numbers("no_rope_layers");
  if (list !== undefined && list.length !== layers) throw reader.wrong("no_rope_layers", `lists ${list.length} layers of ${layers}`);
  return (layer) => (list === undefined ? (layer + 1) % interval !== 0 : list[layer] !== 0);
}

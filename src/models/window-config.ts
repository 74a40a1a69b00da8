/** Which layers see only a window: `layer_types` names each, or a pattern says that every n-th sees all. */
import type { DecoderConfig } from "./decoder-config.ts";

export interface WindowDefaults {
  /** Every so many layers, one sees all; 1: all do; 0: none does. */
  readonly pattern: number;
  readonly window?: number;
}

const kinds: Readonly<Record<string, boolean>> = { full_attention: false, sliding_attention: true };

/** The window by layer, in rows with the row itself; undefined where a layer sees all. */
export function readWindows(config: DecoderConfig, defaults: WindowDefaults): (layer: number) => number | undefined {
  const { reader, gguf } = config;
  const key = gguf ? "attention.sliding_window" : "sliding_window";
  const window = reader.size(key, reader.isNull(key) ? 0 : (defaults.window ?? 0), 0);
  const slides = (gguf ? ggufFlags(config) : layerTypes(config)) ?? byPattern(config, defaults.pattern);
  return (layer) => (window > 0 && slides(layer) ? window : undefined);
}

type Slides = (layer: number) => boolean;

function layerTypes({ reader, layers }: DecoderConfig): Slides | undefined {
  const types = reader.texts("layer_types");
  if (types === undefined) return undefined;
  reader.ignore("sliding_window_pattern", "_sliding_window_pattern");
  if (types.length !== layers || !types.every((type) => Object.hasOwn(kinds, type)))
    throw reader.wrong(
      "layer_types",
      `must name full_attention or sliding_attention for each of ${layers} layers, got ${types.length}: ${[...new Set(types)].slice(0, 4).join(", ")}`,
    );
  return (layer) => kinds[types[layer]!]!;
}

/** Newer GGUF files list for each layer whether it slides. */
function ggufFlags({ reader, layers }: DecoderConfig): Slides | undefined {
  const key = "attention.sliding_window_pattern";
  const flags = reader.isList(key) ? reader.flags(key) : undefined;
  if (flags === undefined) return undefined;
  if (flags.length < layers) throw reader.wrong(key, `lists ${flags.length} layers of ${layers}`);
  return (layer) => flags[layer]!;
}

function byPattern({ reader, gguf }: DecoderConfig, fallback: number): Slides {
  const pattern = reader.size(gguf ? "attention.sliding_window_pattern" : "sliding_window_pattern", fallback, 0);
  return (layer) => pattern === 0 || (layer + 1) % pattern !== 0;
}

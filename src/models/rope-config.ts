/** What a configuration says of rotary positions, in either file format and in old and new spelling. */
import type { RopeSpec } from "../blocks/attention.ts";
import { longropeMagnitude, ropeFrequencies, type RopeFrequencies, type RopeScaling, yarnMagnitude } from "../blocks/rope-frequencies.ts";
import type { ConfigReader } from "./config-reader.ts";

export interface RopeSettings {
  readonly base: number;
  readonly scaling: RopeScaling;
  /** Channels of a head that turn. */
  readonly rotaryDim: number;
}

export interface RopeDefaults {
  readonly headSize: number;
  readonly contextLength: number;
  readonly base?: number;
  /** Fraction of a head's channels that turn. */
  readonly partial?: number;
  /** Whether the GGUF file holds LongRoPE's divisors as tensors. */
  readonly divisors?: boolean;
  /** For models whose kinds of layers turn differently: the name of this kind, as in `layer_types`. */
  readonly layerType?: string;
}

/**
 * From config.json: `rope_theta`, `rope_scaling` and `partial_rotary_factor`, or `rope_parameters` that holds them all
 * (one record, or one for each kind of layer).
 */
export function huggingfaceRope(config: ConfigReader, defaults: RopeDefaults): RopeSettings {
  const all = config.section("rope_scaling") ?? config.section("rope_parameters");
  const own = (defaults.layerType !== undefined && all?.section(defaults.layerType)) || all;
  const trained = Math.max(defaults.contextLength, 1);
  const positive = (key: string, fallback: number): number => {
    if (!own?.has(key)) return config.positive(key, fallback);
    // Files that new versions saved from old ones say it twice; the record's own counts.
    config.ignore(key);
    return own.positive(key);
  };
  const base = positive("rope_theta", defaults.base ?? 10000);
  const partial = positive("partial_rotary_factor", defaults.partial ?? 1);
  const original = config.has("original_max_position_embeddings")
    ? config.size("original_max_position_embeddings")
    : (own?.size("original_max_position_embeddings", trained) ?? trained);
  return checked(
    config,
    { base, rotaryDim: Math.trunc(defaults.headSize * partial), scaling: scalingOf(own, original, trained) },
    defaults,
  );
}

function scalingOf(config: ConfigReader | undefined, original: number, trained: number): RopeScaling {
  if (config === undefined) return { kind: "none" };
  const named = config.has("rope_type") ? config.choice("rope_type", kinds) : config.choice("type", kinds, "none");
  // The first Phi-3 files call it yarn.
  const kind = named === "yarn" && config.has("short_factor") ? "longrope" : named;
  config.ignore("finetuned", "original_max_position_embeddings", "rope_theta", "partial_rotary_factor", "type");
  const factor = (): number => config.positive("factor");
  switch (kind) {
    case "none":
      config.ignore("factor");
      return { kind };
    case "linear":
      return { kind, factor: factor() };
    case "dynamic":
      return { kind, factor: factor(), original: trained };
    case "llama3":
      return {
        kind,
        factor: factor(),
        lowFactor: config.positive("low_freq_factor"),
        highFactor: config.positive("high_freq_factor"),
        original,
      };
    case "yarn": {
      const by = config.has("factor") ? factor() : trained / original;
      const weights =
        config.has("mscale") && config.has("mscale_all_dim") ? [config.number("mscale"), config.number("mscale_all_dim")] : [];
      config.ignore("mscale", "mscale_all_dim");
      const [mscale = 0, mscaleAll = 0] = weights;
      const suggested = mscale && mscaleAll ? yarnMagnitude(by, mscale) / yarnMagnitude(by, mscaleAll) : yarnMagnitude(by);
      return {
        kind,
        factor: by,
        original,
        betaFast: config.positive("beta_fast", 32),
        betaSlow: config.positive("beta_slow", 1),
        truncate: config.flag("truncate", true),
        magnitude: config.positive("attention_factor", suggested),
      };
    }
    case "longrope": {
      const by = config.has("factor") ? factor() : trained / original;
      return {
        kind,
        short: divisors(config, "short_factor"),
        long: divisors(config, "long_factor"),
        original,
        magnitude: config.positive("attention_factor", longropeMagnitude(by, original)),
      };
    }
  }
}

const kinds: Readonly<Record<string, RopeScaling["kind"]>> = {
  default: "none",
  linear: "linear",
  dynamic: "dynamic",
  llama3: "llama3",
  yarn: "yarn",
  longrope: "longrope",
  su: "longrope",
};

function divisors(config: ConfigReader, key: string): readonly number[] {
  const list = config.numbers(key);
  if (list === undefined || list.some((v) => v <= 0))
    throw config.wrong(key, "must be a list of numbers above 0, one for each rotated pair of channels");
  return list;
}

/** From GGUF: `rope.freq_base`, `rope.dimension_count`, `rope.scaling.*`. Divisors of single frequencies are tensors there: see `gated-decoder.ts`. */
export function ggufRope(config: ConfigReader, defaults: RopeDefaults): RopeSettings {
  const base = config.positive("rope.freq_base", defaults.base ?? 10000);
  const rotaryDim = config.size("rope.dimension_count", defaults.headSize);
  config.ignore("rope.scaling.finetuned");
  const stretch = config.number("rope.scaling.factor", 0) || config.number("rope.scale_linear", 0);
  const kind = config.choice(
    "rope.scaling.type",
    { none: "none", linear: "linear", yarn: "yarn", longrope: "longrope" } as const,
    defaults.divisors ? "longrope" : stretch === 0 ? "none" : "linear",
  );
  const original = config.size("rope.scaling.original_context_length", defaults.contextLength);
  const attention = config.positive("rope.scaling.attn_factor", 1);
  const factor = stretch || 1;
  config.expect("rope.scaling.yarn_ext_factor", 1, -1);
  const yarnAttention = config.positive("rope.scaling.yarn_attn_factor", 1);
  const ones = Array.from({ length: rotaryDim <= defaults.headSize ? rotaryDim / 2 : 0 }, () => 1);
  const scalings: Readonly<Record<typeof kind, () => RopeScaling>> = {
    none: () => ({ kind: "none" }),
    linear: () => ({ kind: "linear", factor }),
    yarn: () => ({
      kind: "yarn",
      factor,
      original,
      betaFast: config.positive("rope.scaling.yarn_beta_fast", 32),
      betaSlow: config.positive("rope.scaling.yarn_beta_slow", 1),
      truncate: true,
      magnitude: yarnMagnitude(factor) * attention * yarnAttention,
    }),
    longrope: () => ({ kind: "longrope", short: ones, long: ones, original, magnitude: attention }),
  };
  return checked(config, { base, rotaryDim, scaling: scalings[kind]() }, defaults);
}

function checked(config: ConfigReader, rope: RopeSettings, { headSize }: RopeDefaults): RopeSettings {
  const { rotaryDim, scaling } = rope;
  const problem = (what: string): Error => config.wrong("rope", `${what}; check head size, rotary dimensions and rope scaling`);
  if (rotaryDim < 2 || rotaryDim % 2 !== 0 || rotaryDim > headSize) throw problem(`turns ${rotaryDim} channels of heads of ${headSize}`);
  if (scaling.kind === "longrope" && [scaling.short, scaling.long].some((list) => list.length !== rotaryDim / 2))
    throw problem(`has lists of ${scaling.short.length} and ${scaling.long.length} factors for ${rotaryDim / 2} pairs of channels`);
  const { frequencies, magnitude } = frequenciesOf(rope, 1);
  if (![...frequencies, magnitude].every((v) => Number.isFinite(v) && v > 0))
    throw problem("gives frequencies that are not positive numbers");
  return rope;
}

const frequenciesOf = (rope: RopeSettings, contextLength: number): RopeFrequencies =>
  ropeFrequencies(rope.rotaryDim, rope.base, rope.scaling, contextLength);

/** Whether other lengths have other frequencies. */
export const dependsOnLength = ({ scaling }: RopeSettings): boolean => scaling.kind === "dynamic" || scaling.kind === "longrope";

/** The frequencies as a constant of the graph, for sequences up to `contextLength`. */
export const ropeSpec = (rope: RopeSettings, style: RopeSpec["style"], contextLength: number): RopeSpec => ({
  style,
  ...frequenciesOf(rope, contextLength),
});

/** The frequencies of rotary positions and the rules that stretch them to longer contexts: computed in double precision, given as f32. */

/** How a model was stretched beyond the context it was first trained on. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  /** NTK-aware, with a base that grows with the sequence beyond `original`. */
  | { readonly kind: "dynamic"; readonly factor: number; readonly original: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly original: number;
    }
  /** arXiv 2309.00071, equations 17 to 23. */
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly original: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Whether the ramp's ends are rounded to whole dimensions. */
      readonly truncate: boolean;
      readonly magnitude: number;
    }
  /** arXiv 2402.13753: each frequency has its own divisor, one list for sequences up to `original` and one beyond. */
  | {
      readonly kind: "longrope";
      readonly short: readonly number[];
      readonly long: readonly number[];
      readonly original: number;
      readonly magnitude: number;
    };

export interface RopeFrequencies {
  /** Radians a position, one for each pair of channels. */
  readonly frequencies: Float32Array;
  /** What rotated channels are multiplied by. */
  readonly magnitude: number;
}

/** The magnitude YaRN suggests for a factor (equation 22), which families may override. */
export const yarnMagnitude = (factor: number, weight = 1): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);

/** The magnitude LongRoPE suggests. */
export const longropeMagnitude = (factor: number, original: number): number =>
  factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));

/**
 * Frequencies for `rotaryDim` channels (even), and sequences of up to `contextLength` tokens, which matters to "dynamic" and "longrope" alone.
 * @example ropeFrequencies(128, 500000, { kind: "linear", factor: 4 }, 8192).frequencies // 64 numbers
 */
export function ropeFrequencies(rotaryDim: number, base: number, scaling: RopeScaling, contextLength: number): RopeFrequencies {
  const plain = (from: number): number[] => Array.from({ length: rotaryDim / 2 }, (_, i) => from ** ((-2 * i) / rotaryDim));
  switch (scaling.kind) {
    case "none":
      return given(plain(base));
    case "linear":
      return given(plain(base).map((f) => f / scaling.factor));
    case "dynamic": {
      const stretch = (scaling.factor * Math.max(contextLength, scaling.original)) / scaling.original - (scaling.factor - 1);
      return given(plain(base * stretch ** (rotaryDim / (rotaryDim - 2))));
    }
    case "llama3":
      return given(plain(base).map((f) => llama3(f, scaling)));
    case "yarn": {
      const kept = yarnKept(rotaryDim, base, scaling);
      return given(
        plain(base).map((f, i) => f * kept(i) + (f / scaling.factor) * (1 - kept(i))),
        scaling.magnitude,
      );
    }
    case "longrope": {
      const divisors = contextLength > scaling.original ? scaling.long : scaling.short;
      return given(
        plain(base).map((f, i) => f / divisors[i]!),
        scaling.magnitude,
      );
    }
  }
}

const given = (frequencies: readonly number[], magnitude = 1): RopeFrequencies => ({
  frequencies: Float32Array.from(frequencies),
  magnitude,
});

function llama3(frequency: number, s: RopeScaling & { readonly kind: "llama3" }): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > s.original / s.lowFactor) return frequency / s.factor;
  if (wavelength < s.original / s.highFactor) return frequency;
  const smooth = (s.original / wavelength - s.lowFactor) / (s.highFactor - s.lowFactor);
  return ((1 - smooth) * frequency) / s.factor + smooth * frequency;
}

/** By pair: 1 where the frequency is kept, 0 where it is divided by the factor, a ramp between. */
function yarnKept(rotaryDim: number, base: number, s: RopeScaling & { readonly kind: "yarn" }): (i: number) => number {
  const pairAt = (rotations: number): number => (rotaryDim * Math.log(s.original / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const round = s.truncate ? { low: Math.floor, high: Math.ceil } : { low: Number, high: Number };
  const low = Math.max(round.low(pairAt(s.betaFast)), 0);
  const high = Math.min(round.high(pairAt(s.betaSlow)), rotaryDim - 1);
  const span = low === high ? 0.001 : high - low;
  return (i) => 1 - Math.min(Math.max((i - low) / span, 0), 1);
}

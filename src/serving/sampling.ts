/** What may be asked of the sampler, and what is refused. */
import { FrugalError } from "../tensor/error.ts";

/** How the next token is chosen from the logits. */
export interface SamplingOptions {
  /** Logits are divided by it; 0 always takes the likeliest token (the lowest id among equals). Default 0. */
  readonly temperature?: number;
  /** Keep the k likeliest tokens; 0 keeps all. Default 0. */
  readonly topK?: number;
  /** Keep the fewest likeliest tokens whose probabilities, after `topK`, sum to at least this; 1 keeps all. Default 1. */
  readonly topP?: number;
  /** Keep tokens at least this share as likely as the likeliest; 0 keeps all. Default 0. */
  readonly minP?: number;
  /** Divides positive and multiplies negative logits of tokens in the window (Keskar et al. 2019, CTRL, section 4.1); 1 changes nothing. Default 1. */
  readonly repetitionPenalty?: number;
  /** Taken off the logit of every token in the window, once. Default 0. */
  readonly presencePenalty?: number;
  /** Taken off the logit of every token in the window, as often as it stands there. Default 0. */
  readonly frequencyPenalty?: number;
  /** The penalties look at this many last tokens of prompt and answer. Default: all, as transformers does; llama.cpp looks at 64. */
  readonly penaltyWindow?: number;
  /** Added to the logits of these ids before anything else; -Infinity forbids a token. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** The same seed writes the same text. Default: drawn anew for each text. */
  readonly seed?: number;
  /** How many alternatives to report, with log probabilities, beside that of the chosen token. Default: no log probabilities at all. */
  readonly logprobs?: number;
}

/** The options with their defaults filled in. */
export interface Sampling {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly penaltyWindow: number;
  readonly logitBias: readonly (readonly [id: number, bias: number])[];
  readonly seed: number;
  readonly logprobs: number | undefined;
}

export const samplingNames: readonly (keyof SamplingOptions)[] = [
  "temperature",
  "topK",
  "topP",
  "minP",
  "repetitionPenalty",
  "presencePenalty",
  "frequencyPenalty",
  "penaltyWindow",
  "logitBias",
  "seed",
  "logprobs",
];

/** Fills in the defaults; FRUGAL_BAD_ARGUMENT names an option out of range. */
export function sampling(options: SamplingOptions, vocabularySize: number): Sampling {
  const number = (name: keyof SamplingOptions, fallback: number, low: number, high: number, whole = false): number => {
    const value = options[name] ?? fallback;
    if (typeof value === "number" && value >= low && value <= high && (!whole || Number.isInteger(value))) return value;
    throw outOfRange(name, value, `${whole ? "a whole number" : "a number"} from ${low} to ${high}`);
  };
  const bias = Object.entries(options.logitBias ?? {}).map(([id, value]): readonly [number, number] => {
    if (!/^\d+$/.test(id) || Number(id) >= vocabularySize) throw outOfRange("logitBias", id, `ids from 0 to ${vocabularySize - 1}`);
    if (typeof value !== "number" || Number.isNaN(value) || value === Infinity)
      throw outOfRange("logitBias", value, "finite numbers or -Infinity");
    return [Number(id), value];
  });
  return {
    temperature: number("temperature", 0, 0, 1e4),
    topK: number("topK", 0, 0, Number.MAX_SAFE_INTEGER, true),
    topP: number("topP", 1, 0, 1),
    minP: number("minP", 0, 0, 1),
    repetitionPenalty: number("repetitionPenalty", 1, 1e-3, 1e3),
    presencePenalty: number("presencePenalty", 0, -100, 100),
    frequencyPenalty: number("frequencyPenalty", 0, -100, 100),
    penaltyWindow: options.penaltyWindow === undefined ? Infinity : number("penaltyWindow", 0, 0, Infinity),
    logitBias: bias,
    seed: options.seed === undefined ? Math.floor(Math.random() * 2 ** 53) : number("seed", 0, 0, Number.MAX_SAFE_INTEGER, true),
    logprobs: options.logprobs === undefined ? undefined : number("logprobs", 0, 0, Math.min(100, vocabularySize), true),
  };
}

const outOfRange = (name: string, value: unknown, expected: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_ARGUMENT", `sampling: ${name} is ${String(value)}; give ${expected}`, { option: name, value: String(value) });

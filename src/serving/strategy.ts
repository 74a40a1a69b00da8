/**
 * Speculative decoding as the engine sees it: a strategy proposes the tokens that may come next, one step computes what the model says of all
 * of them, and the engine counts the beginning that the text's own reader chose too. Texts are therefore the same with and without a
 * strategy, drawn ones as well, since random numbers are keyed by (seed, position).
 */
import type { Sampling } from "./sampling.ts";

/** Of one text. */
export interface DecodeStrategy {
  /** What may follow `tokens`, at most `most` tokens; none where it has no idea. `tokens` grows from call to call. */
  propose(tokens: readonly number[], most: number): readonly number[] | Promise<readonly number[]>;
  /** How many of the tokens proposed last the model was asked about, and how many of them, from the first, came. */
  judged(proposed: number, accepted: number): void;
  dispose?(): Promise<void> | void;
}

/** What makes a strategy for each text of a model. */
export interface StrategySource {
  readonly name: string;
  /** For a text whose tokens are chosen so. */
  start(sampling: Sampling): DecodeStrategy;
  dispose?(): Promise<void>;
}

/** "auto": proposals are verified where that is measured to be faster; "always": whenever there are some; "off": never. */
export type SpeculationMode = "auto" | "off" | "always";

/**
 * Speculative decoding as the engine sees it: a strategy proposes the tokens that may come next, one step computes what the model says of all
 * of them, and the engine counts the beginning that the text's own reader chose too. Texts are therefore the same with and without a
 * strategy, drawn ones as well, since random numbers are keyed by (seed, position).
 */
import { FrugalError } from "../tensor/error.ts";
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
  /** For texts that don't say. Default "auto". */
  readonly mode?: SpeculationMode;
  /** For a text whose tokens are chosen so. */
  start(sampling: Sampling): DecodeStrategy;
  dispose?(): Promise<void>;
}

/** "auto": proposals are verified where that is measured to be faster; "always": whenever there are some; "off": never. */
export type SpeculationMode = (typeof speculationModes)[number];
export const speculationModes = ["auto", "always", "off"] as const;

/** @throws FRUGAL_BAD_ARGUMENT for what is no mode. */
export function checkMode(call: string, mode: SpeculationMode): void {
  if (speculationModes.includes(mode)) return;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${call}: speculation is ${JSON.stringify(mode)}; it may be ${speculationModes.join(", ")}`,
    {
      option: "speculation",
    },
  );
}

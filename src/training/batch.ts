/** What the loop reads: the runs of each step, and where the data stands. `data/` makes them from examples. */
import type { Inputs } from "../backends/backend.ts";
import type { Symbols } from "../graph/dim.ts";

/** Packed examples that the program runs at once. */
export interface Batch {
  /**
   * tokens, positions [T], rowOffsets [S+1], outputRows, targets [R] (i32), lossWeights [R, 1] (f32), and `virtual` [T] where a technique asks
   * for it. The loss weights of all batches of a step sum to 1 (a mean over the scored tokens of the step), or as the loss asks.
   */
  readonly inputs: Inputs;
  readonly symbols: Symbols;
  /** Where the examples come from, for messages: "a.jsonl line 12". */
  readonly examples: readonly string[];
}

/** Steps in a fixed order: a source of the same examples that resumes from a `state` gives the same steps that followed it. */
export interface BatchSource {
  /** The batches of the next step; undefined where the data ends. */
  next(): Promise<readonly Batch[] | undefined>;
  /** As JSON. */
  state(): unknown;
  resume(state: unknown): void;
  /** The largest value of each symbol in any batch. */
  readonly caps: Symbols;
}

/** A claim of the documents that a measurement can confirm: who is measured, how one sample is taken, and what was promised. */
import type { ModelFacts } from "./measure/model-facts.ts";
import type { Summary } from "./measure/statistics.ts";

export type Unit = "tokens/s" | "s" | "MB" | "perplexity";

/** What all samples of a run share. */
export interface Setting {
  /** The file that is measured. */
  readonly model: string;
  readonly threads: number;
  /** Where llama.cpp's tools are. */
  readonly llamaCpp?: string;
  /** Where node-llama-cpp was installed. */
  readonly nodeLlamaCpp?: string;
  /** The text whose perplexity is measured. */
  readonly text?: string;
  /** Score only so many chunks of it. */
  readonly chunks?: number;
  readonly signal: AbortSignal;
}

export type Contestant = "frugal" | "llama.cpp" | "node-llama-cpp" | "machine";

/** One row of a claim's table. */
export interface Entrant {
  readonly contestant: Contestant;
  /** Where one contestant enters in two ways. */
  readonly variant?: string;
  /** One sample, in a fresh process. */
  sample(setting: Setting): Promise<number>;
}

/** Medians of what is compared. The ratio is ours to the peer's of the same round. */
export interface Standing {
  readonly ours: number;
  readonly peer?: number;
  readonly ratio?: Summary;
}

export interface Goal {
  readonly text: string;
  /** Says something of us alone: no peer is named beside it. */
  readonly isAbsolute?: boolean;
  /** Undefined where there is nothing to compare with. */
  reached(standing: Standing): boolean | undefined;
}

/** What a speed is held against: a limit of the machine, sampled in every round, and how much of it a token takes. */
export interface Limit {
  readonly name: string;
  readonly unit: "GB/s" | "GOP/s";
  readonly entrant: Entrant;
  /** Bytes or operations, in billions. */
  perToken(model: ModelFacts): number;
}

export interface Claim {
  /** As it is named on the command line. */
  readonly name: string;
  readonly title: string;
  readonly unit: Unit;
  readonly goal: Goal;
  /** Ours first, then the peers, the one that the goal names before others. */
  readonly entrants: readonly Entrant[];
  /** The format that the model is brought into; as it is where absent. */
  readonly format?: "Q8_0" | "F16";
  /** Always the same number: one sample is enough. */
  readonly isExact?: boolean;
  /** Taken once and thrown away before the first round, where the first run of a program is not like the others. */
  readonly warmsUp?: boolean;
  limit?(model: ModelFacts): Limit;
}

/** Ours at least so many times the peer's, in the median over rounds. */
export const timesPeer = (least: number): Goal => ({
  text: `at least ${least} times the peer's`,
  reached: ({ ratio }) => (ratio === undefined ? undefined : ratio.median >= least),
});

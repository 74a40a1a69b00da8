/** The contract of gradient compression: `techniques/parallel/` has one file a paper. */
import type { Collective } from "../collective.ts";
import type { Paper } from "../technique.ts";

export interface GradientCompression {
  readonly name: string;
  readonly paper: Paper;
  /** Its path on the survey's map. */
  readonly survey: string;
  readonly changes: "schedule";
  /** For one rank of one training; what it keeps from step to step (what was not sent) lives in the result. */
  start(collective: Collective): Compressor;
}

export interface Compressor {
  /** Replaces the gradient by about its sum over all ranks: the same numbers on every rank. Called for the same parameters in the same order on all. */
  sum(name: string, shape: readonly number[], gradient: Float32Array): Promise<void>;
}

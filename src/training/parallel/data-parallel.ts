/**
 * Data parallel training: each rank takes a share of every step's examples, gradients are summed over all ranks, and all make the same update;
 * or each updates its shard and gives it to the others. The loop (run.ts) drives it like any other stepper, on every rank.
 */
import type { Backend } from "../../backends/backend.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import type { Collective } from "../collective.ts";
import { type ProgramOptions, trainingPrograms, type TrainingPrograms } from "../programs.ts";
import type { RunStore } from "../run.ts";
import type { Stepper } from "../stepper.ts";
import type { Trainable } from "../trainable.ts";
import type { UpdateRule } from "../update-rule.ts";
import type { GradientCompression } from "./compression.ts";
import { type GradientSource, wholeGradients } from "./gradients.ts";
import { replicatedStepper } from "./replicated.ts";
import { shardedStepper } from "./sharded.ts";
import { stagedGradients } from "./stages.ts";

export interface DataParallelOptions {
  readonly collective: Collective;
  /** Gradients travel together up to so many bytes; 4 MB where absent. */
  readonly bucketBytes?: number | undefined;
  /**
   * What each rank keeps only its part of (ZeRO, arXiv 1910.02054): nothing; the optimizer's states; gradients too.
   * Moves as many bytes as without.
   */
  readonly shards?: "none" | "states" | "gradients" | undefined;
  /**
   * Cuts forward and backward pass into so many stages (stages.ts): gradients travel while the way back still runs, for up to a third more
   * computing. 1 where absent, 4 where gradients are sharded.
   */
  readonly stages?: number | undefined;
  /** Sends less than the gradients. Not with shards. */
  readonly compression?: GradientCompression | undefined;
  /** Asks for the end; heard by one rank is enough. */
  readonly signal?: AbortSignal | undefined;
}

/** The same without what the loop brings along. */
export type ParallelOptions = Omit<DataParallelOptions, "signal">;

export interface DataParallel {
  readonly stepper: Stepper;
  /** Bytes of gradients that this rank keeps outside the backend's memory: its shard, and at most what waited to travel so far. */
  readonly bytes: () => { readonly shard: number; readonly waiting: number };
  /** The loop's backend: reading and writing of sharded weights becomes a call of all ranks. */
  readonly backend: Backend;
  /** The loop's signal: aborted after the same step on all ranks, with the reason where it is known. */
  readonly signal: AbortSignal;
}

/** How all ranks end after the same step. */
export interface Agreement {
  /** 1 where this rank was asked to stop. */
  readonly wish: () => number;
  readonly hear: (wishes: number) => void;
}

/**
 * The stepper of this rank. All ranks give the same model, rule, options and batches. Throws FRUGAL_BAD_ARGUMENT for options that make no sense.
 * Ranks but 0 need a store that reads what is to be kept and writes nothing (`silentStore`), since reading may be a call of all ranks.
 */
export function dataParallel(
  model: Trainable,
  rule: UpdateRule,
  backend: Backend,
  options: DataParallelOptions & ProgramOptions & { readonly evaluates: boolean },
): DataParallel {
  const {
    collective,
    bucketBytes = 4 << 20,
    shards = "none",
    compression,
    signal,
    evaluates,
    stages = shards === "gradients" ? 4 : 1,
    ...programOptions
  } = options;
  checkOptions("data parallel", options, [
    "collective",
    "bucketBytes",
    "shards",
    "stages",
    "compression",
    "signal",
    "evaluates",
    "clip",
    "recompute",
    "loss",
    "lossScale",
    "keep",
  ]);
  if (!Number.isSafeInteger(bucketBytes) || bucketBytes < 4)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `data parallel: bucketBytes must be a whole number of at least 4, got ${bucketBytes}`, {
      bucketBytes,
    });
  if (shards !== "none" && compression !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `data parallel: ${compression.name} compresses whole gradients; take it without shards`);
  if (programOptions.lossScale === true)
    throw new FrugalError("FRUGAL_UNSUPPORTED", "data parallel: loss scaling is for one worker; train in f32 or bf16");
  if (stages > 1 && programOptions.recompute !== undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", "data parallel: stages recompute already; leave out recompute");
  const stopping = new AbortController();
  const agreement: Agreement = {
    wish: () => (signal?.aborted === true ? 1 : 0),
    hear: (wishes) => {
      if (wishes > 0) stopping.abort(signal?.aborted === true ? signal.reason : undefined);
    },
  };
  const programs = trainingPrograms(model, rule, programOptions);
  const making: Making = { collective, programs, bucketBytes, agreement, evaluates, source: sourceOf(programs, stages) };
  const made =
    shards === "none"
      ? { stepper: replicatedStepper(making, compression), backend }
      : shardedStepper(making, { model, rule, backend, clip: programOptions.clip });
  const shard = "shardBytes" in made ? made.shardBytes : 0;
  return { stepper: made.stepper, backend: made.backend, signal: stopping.signal, bytes: () => ({ shard, waiting: making.source.bytes }) };
}

function sourceOf({ graphs, parameters }: TrainingPrograms, stages: number): GradientSource {
  wholeNumber("data parallel", "stages", stages, 1);
  return stages === 1 ? wholeGradients(graphs, parameters) : stagedGradients(graphs.evaluate, parameters, stages);
}

export interface Making {
  readonly collective: Collective;
  readonly programs: TrainingPrograms;
  readonly source: GradientSource;
  readonly bucketBytes: number;
  readonly agreement: Agreement;
  readonly evaluates: boolean;
}

/**
 * The store of ranks but 0: writes nothing, and reads what the store of rank 0 saves, since that may be a call of all ranks. `every` and
 * `resumed` are those of rank 0.
 */
export const silentStore = (every: number, resumed: RunStore["resumed"]): RunStore => ({
  every,
  resumed,
  async save(_, { sizes, read }) {
    for (const name of sizes.keys()) await read(name);
  },
  record: async () => undefined,
});

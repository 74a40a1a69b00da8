/** The loop: steps, evaluation, checkpoints, progress, and every way in which a training ends. */
import type { Backend, LoadedModel } from "../backends/backend.ts";
import { type Symbols, symbolNames } from "../graph/dim.ts";
import { type Awaitable, startAwaitable } from "../tensor/awaitable.ts";
import { FrugalError } from "../tensor/error.ts";
import { size } from "../tensor/shape.ts";
import type { Batch, BatchSource } from "./batch.ts";
import type { Kept, TrainingState } from "./checkpoint.ts";
import { earlyStopping } from "./early-stopping.ts";
import type { Stepper, StepOutcome } from "./stepper.ts";

/** What is known after a step. */
export interface TrainingProgress {
  /** 1 is the first. */
  readonly step: number;
  readonly steps: number;
  /** The mean over the scored tokens of the step, before its update. */
  readonly loss: number;
  /** The learning rate of the step. */
  readonly rate: number;
  /** Before clipping; absent where no gradient is ever whole. */
  readonly gradientNorm?: number;
  /** Of the held-out examples after the step, where they were looked at. */
  readonly evaluationLoss?: number;
  /** Rows the model read in the step. */
  readonly tokens: number;
  /** Of the last steps, evaluation and saving left out. */
  readonly tokensPerSecond: number;
  readonly secondsLeft: number;
}

export interface TrainingResult {
  /** One a step, those before a resumption included. */
  readonly losses: readonly number[];
  readonly evaluations: readonly { readonly step: number; readonly loss: number }[];
  /** Steps done; fewer than asked for where the data ended or the evaluation loss no longer fell. */
  readonly steps: number;
  readonly endedBy: "steps" | "data" | "patience";
  /** Of this run's steps alone. */
  readonly tokensPerSecond: number;
  /** The step whose weights were kept, where a patience was given. */
  readonly bestStep?: number;
}

/** Iterate over the steps, or await the whole; leaving the iteration early stops the training after the step under way. */
export type Training = Awaitable<TrainingProgress, TrainingResult>;

/** Where checkpoints and the history go: a folder (run-folder.ts). */
export interface RunStore {
  /** Saves every so many steps. */
  readonly every: number;
  save(state: TrainingState, kept: Kept): Promise<void>;
  record(progress: TrainingProgress): Promise<void>;
  /** What `save` saved last, and the steps recorded until then. */
  readonly resumed?: { readonly state: TrainingState; readonly kept: Kept; readonly history: readonly TrainingProgress[] } | undefined;
}

export interface RunOptions {
  readonly backend: Backend;
  readonly stepper: Stepper;
  readonly batches: BatchSource;
  /** Default: until the data ends. */
  readonly steps?: number | undefined;
  /** Steps there will be, for the progress, where the data ends them. */
  readonly expectedSteps?: number | undefined;
  /** The learning rate of a step; 0 is the first. */
  readonly rateAt: (step: number) => number;
  readonly evaluation?:
    | {
        /** Their loss weights sum to 1. */
        readonly batches: readonly Batch[];
        readonly every: number;
        /** Ends the training after so many evaluations without a new least loss, and takes the weights of the least. */
        readonly patience?: number | undefined;
      }
    | undefined;
  readonly store?: RunStore | undefined;
  /** Called with the trained weights before the memory is given back. */
  readonly onEnd?: ((read: (name: string) => Promise<Float32Array>, result: TrainingResult) => Promise<void>) | undefined;
  /** Called once all is loaded, before anything is resumed or learned. */
  readonly onLoaded?: ((loaded: LoadedModel) => unknown) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Starts a training. An abort ends it within one batch (or an evaluation): it saves what is done where there is a store, then rejects with
 * the signal's reason. A loss or gradient that is no number ends it with FRUGAL_NUMERIC, which names step and examples; nothing of that step
 * is saved.
 */
export const runTraining = (options: RunOptions): Training =>
  startAwaitable((emit, signal) => train(options, emit, signal), options.signal);

async function train(options: RunOptions, emit: (progress: TrainingProgress) => void, signal: AbortSignal): Promise<TrainingResult> {
  const { backend, stepper, batches, store, evaluation } = options;
  signal.throwIfAborted();
  const loaded = await backend.load(stepper.graphs, stepper.weights, { caps: capsOf(batches, evaluation?.batches ?? []), signal });
  try {
    await options.onLoaded?.(loaded);
    const resumed = store?.resumed;
    if (resumed !== undefined) {
      await restore(loaded, stepper, resumed.kept);
      batches.resume(resumed.state.data);
    }
    const history = [...(resumed?.history ?? [])];
    const stopping = earlyStopping(evaluation?.patience, resumed?.state.best, () => keptBy(loaded, stepper, stepper.trained));
    const clock = stepClock();
    const endedBy = await steps(options, { loaded, history, stopping, clock, emit, signal });
    const result: TrainingResult = {
      losses: history.map(({ loss }) => loss),
      evaluations: history.flatMap(({ step, evaluationLoss: loss }) => (loss === undefined ? [] : [{ step, loss }])),
      steps: history.length,
      endedBy,
      tokensPerSecond: clock.overall(),
      ...(stopping.best === undefined ? {} : { bestStep: stopping.best.step }),
    };
    const best = stopping.best?.weights;
    await options.onEnd?.(async (name) => best?.get(name) ?? loaded.readWeight(name), result);
    return result;
  } finally {
    await loaded.dispose();
  }
}

interface Running {
  readonly loaded: LoadedModel;
  readonly history: TrainingProgress[];
  readonly stopping: ReturnType<typeof earlyStopping>;
  readonly clock: StepClock;
  readonly emit: (progress: TrainingProgress) => void;
  readonly signal: AbortSignal;
}

async function steps(options: RunOptions, running: Running): Promise<TrainingResult["endedBy"]> {
  const { stepper, batches, store, rateAt, evaluation } = options;
  const { loaded, history, stopping, clock, emit, signal } = running;
  let data = batches.state();
  let saved = history.length;
  const save = async (ended: boolean): Promise<void> => {
    if (store === undefined || (saved === history.length && !ended)) return;
    const best = stopping.best;
    await store.save({ step: history.length, data, ended, ...(best === undefined ? {} : { best }) }, keptBy(loaded, stepper, stepper.kept));
    saved = history.length;
  };
  const limit = options.steps ?? Infinity;
  const expected = options.steps ?? options.expectedSteps ?? 0;
  let endedBy: TrainingResult["endedBy"] = "steps";
  while (history.length < limit) {
    if (stopping.isOver) {
      endedBy = "patience";
      break;
    }
    const index = history.length;
    const found = signal.aborted ? undefined : await batches.next();
    if (signal.aborted) {
      await save(false);
      signal.throwIfAborted();
    }
    if (found === undefined) {
      endedBy = "data";
      break;
    }
    const rate = rateAt(index);
    const started = performance.now();
    const outcome = await guarded(index + 1, found, () => stepper.step(loaded, found, { rate, count: index + 1, signal })).catch(
      async (error: unknown) => {
        // Between two batches of a step nothing was updated yet.
        if (signal.aborted && error === signal.reason) await save(false);
        throw error;
      },
    );
    data = batches.state();
    const tokens = found.reduce((sum, { symbols }) => sum + symbols.T, 0);
    clock.add(tokens, performance.now() - started);
    const isLooking = evaluation !== undefined && ((index + 1) % evaluation.every === 0 || index + 1 === limit);
    const evaluationLoss = isLooking ? await evaluate(stepper, loaded, evaluation.batches) : undefined;
    const progress: TrainingProgress = {
      step: index + 1,
      steps: Math.max(expected, index + 1),
      loss: outcome.loss,
      rate,
      ...(outcome.gradientNorm === undefined ? {} : { gradientNorm: outcome.gradientNorm }),
      ...(evaluationLoss === undefined ? {} : { evaluationLoss }),
      tokens,
      tokensPerSecond: clock.recent(),
      secondsLeft: Math.max(0, expected - index - 1) * clock.secondsAStep(),
    };
    history.push(progress);
    await store?.record(progress);
    emit(progress);
    if (evaluationLoss !== undefined) await stopping.see(index + 1, evaluationLoss);
    if (store !== undefined && (index + 1) % store.every === 0) await save(false);
  }
  await save(true);
  return endedBy;
}

/** A loss or gradient norm that is no finite number ends the training, naming where. */
async function guarded(step: number, batches: readonly Batch[], work: () => Promise<StepOutcome>): Promise<StepOutcome> {
  const fail = (what: string, cause?: unknown): FrugalError => {
    const examples = batches.flatMap((batch) => batch.examples);
    const shown = `${examples.slice(0, 8).join(", ")}${examples.length > 8 ? ` and ${examples.length - 8} more` : ""}`;
    return new FrugalError(
      "FRUGAL_NUMERIC",
      `training: ${what} in step ${step}, whose examples are ${shown}; lower the learning rate, clip the gradients, or look at these examples. Nothing of the step was saved`,
      { step, examples: examples.join(", ").slice(0, 2000) },
      { cause },
    );
  };
  let outcome: StepOutcome;
  try {
    outcome = await work();
  } catch (error) {
    if (error instanceof FrugalError && error.code === "FRUGAL_NUMERIC") throw fail("the loss is not a number", error);
    throw error;
  }
  if (!Number.isFinite(outcome.loss)) throw fail(`the loss is ${outcome.loss}`);
  if (!Number.isFinite(outcome.gradientNorm ?? 0)) throw fail(`the gradient's norm is ${outcome.gradientNorm}`);
  return outcome;
}

/** Not interrupted: a step whose evaluation is missing could not be resumed to the same numbers. */
async function evaluate(stepper: Stepper, loaded: LoadedModel, batches: readonly Batch[]): Promise<number> {
  let loss = 0;
  for (const batch of batches) loss += await stepper.evaluate(loaded, batch);
  return loss;
}

/** Weights as they are when they are read. */
const keptBy = (loaded: LoadedModel, { weights }: Stepper, names: readonly string[]): Kept => ({
  sizes: new Map(names.map((name) => [name, size(weights.get(name)!.shape)])),
  read: (name) => loaded.readWeight(name),
});

async function restore(loaded: LoadedModel, stepper: Stepper, { sizes, read }: Kept): Promise<void> {
  const missing = stepper.kept.find((name) => !sizes.has(name)) ?? [...sizes.keys()].find((name) => !stepper.kept.includes(name));
  if (missing !== undefined)
    throw new FrugalError(
      "FRUGAL_BAD_FILE",
      `training: the checkpoint and this run do not train the same, they differ in "${missing}"; begin anew without it`,
      { weight: missing },
    );
  for (const name of sizes.keys()) await loaded.writeWeight(name, await read(name));
}

function capsOf({ caps }: BatchSource, evaluation: readonly Batch[]): Symbols {
  const largest = { ...caps };
  for (const { symbols } of evaluation) for (const name of symbolNames) largest[name] = Math.max(largest[name], symbols[name]);
  return largest;
}

interface StepClock {
  add(tokens: number, milliseconds: number): void;
  /** Tokens a second over the last steps, and over all. */
  recent(): number;
  overall(): number;
  secondsAStep(): number;
}

/** Steps differ in length, so speed is that of the last twenty. */
function stepClock(): StepClock {
  const last: { readonly tokens: number; readonly milliseconds: number }[] = [];
  let [allTokens, allMilliseconds] = [0, 0];
  const sum = (of: "tokens" | "milliseconds"): number => last.reduce((total, each) => total + each[of], 0);
  return {
    add(tokens, milliseconds) {
      last.push({ tokens, milliseconds });
      if (last.length > 20) last.shift();
      allTokens += tokens;
      allMilliseconds += milliseconds;
    },
    recent: () => (1000 * sum("tokens")) / Math.max(sum("milliseconds"), 1e-6),
    overall: () => (allMilliseconds === 0 ? 0 : (1000 * allTokens) / allMilliseconds),
    secondsAStep: () => sum("milliseconds") / 1000 / Math.max(1, last.length),
  };
}

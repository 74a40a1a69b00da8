/** One training from examples to trained weights: data, technique, programs, loop and folder put together. Knows no technique by name. */
import type { Backend, MemoryReport, Weights } from "../backends/backend.ts";
import { decodeWeights } from "../backends/weights.ts";
import type { JsonObject } from "../formats/json.ts";
import { type Graph, inOrder, sourceName } from "../graph/value.ts";
import type { Model } from "../models/family.ts";
import { createBuilder } from "../ops/builder.ts";
import { type Awaitable, startAwaitable } from "../tensor/awaitable.ts";
import { byteSize } from "../tensor/byte-size.ts";
import { FrugalError } from "../tensor/error.ts";
import { size } from "../tensor/shape.ts";
import type { ByteSource } from "../tensor/source.ts";
import type { ChatTemplate } from "../text/chat-template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Batch } from "./batch.ts";
import { type BatchOptions, createBatches, type ExampleBatches } from "./data/batches.ts";
import type { Example, Preference } from "./data/example.ts";
import { type DataReport, readExamples, type ReadOptions, readPreferences } from "./data/read-examples.ts";
import { withLossScale } from "./loss-scale.ts";
import { checkShape } from "./json-shape.ts";
import type { ParallelOptions } from "./parallel/data-parallel.ts";
import { preferenceLoss, preferenceStepper, type PreferenceStepper } from "./preference.ts";
import { type ProgramOptions, trainingPrograms } from "./programs.ts";
import { settingShapes, type TrainingSettings } from "./recipe.ts";
import { openRunFolder, watchRunFolder } from "./run-folder.ts";
import { type RunStore, runTraining, type TrainingProgress, type TrainingResult } from "./run.ts";
import { createSchedule } from "./schedules.ts";
import { gradientStepper, type Stepper } from "./stepper.ts";
import type { TuningTechnique } from "./technique.ts";
import { recomputeWithin } from "./recompute-budget.ts";
import type { Trainable } from "./trainable.ts";
import { createOptimizer, type Optimizer } from "./update-rules/index.ts";

/** What a training begins with. */
export interface TuneBase {
  /** For messages. */
  readonly name: string;
  readonly model: Model;
  /** Where these are not the model's own: of one that begins anew. */
  readonly weights?: Weights | undefined;
  readonly backend: Backend;
  /** Absent where there is none: examples are ids then. */
  readonly tokenizer?: (() => Promise<Tokenizer>) | undefined;
  readonly chatTemplate?: string | undefined;
}

/** The trained weights, by name, and the reader of their numbers. */
export interface Tuned {
  readonly trainable: Trainable;
  read(name: string): Promise<Float32Array>;
}

export interface TuneJob {
  readonly base: TuneBase;
  readonly data: readonly ByteSource[];
  readonly evaluation?: readonly ByteSource[] | undefined;
  /** Default: all weights are trained as they are. */
  readonly technique?: TuningTechnique | undefined;
  /** What the technique was made with, so that a resumption can be compared. */
  readonly techniqueSettings?: JsonObject | undefined;
  /** Other first numbers than the technique's: an adapter to start from. */
  readonly start?: ((model: Trainable) => Promise<Trainable>) | undefined;
  readonly settings: TrainingSettings;
  readonly out?:
    | {
        readonly path: string;
        readonly resume: boolean;
        /** Writes the result beside the history; and how many bytes that will take. */
        write(tuned: Tuned): Promise<void>;
        bytes(trainable: Trainable): number;
      }
    | undefined;
  /** Where nothing is written: takes what was trained, on every rank, before the backend gives it up. */
  readonly onTrained?: ((tuned: Tuned) => Promise<void>) | undefined;
  /** Of the ranks that train together: all give the same job, and the first writes. */
  readonly parallel?: ParallelOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TuneResult extends TrainingResult {
  readonly trainableParameters: number;
  /** What became of the examples. */
  readonly data: DataReport;
  /** What the backend held. */
  readonly memory: MemoryReport;
  /** The trained weights, by name, where nothing was written. */
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** Iterate over the steps, or await the whole. */
export type Tuning = Awaitable<TrainingProgress, TuneResult>;

const usual = { examplesPerStep: 8, rows: 2048, context: 2048, saveEvery: 100, keep: 2, beta: 0.1 };

/** Starts a training. Rejects as reading examples, techniques, programs, folder and loop do. */
export const startTuning = (job: TuneJob): Tuning => startAwaitable((emit, signal) => tune(job, emit, signal), job.signal);

async function tune(job: TuneJob, emit: (progress: TrainingProgress) => void, signal: AbortSignal): Promise<TuneResult> {
  const { base, settings, out } = job;
  checkShape("tune", settings, { kind: "object", fields: settingShapes });
  checkTogether(settings, job);
  const context = contextOf(base, settings);
  const model = await trainableOf(job, context);
  const data = await readData(job, model, context, signal);
  const steps = settings.steps ?? data.batches.expectedSteps!;
  const rateAt = rates(job, steps);
  const runner = await runnerOf(job, model, data, signal);
  const folder = await openFolder(job, model, runner.stepper, settingsOf(job, data.report, steps));
  try {
    const weights = new Map<string, Float32Array>();
    let memory: MemoryReport | undefined;
    const { held } = data;
    const training = runTraining({
      ...runner,
      batches: data.batches,
      steps: settings.steps,
      expectedSteps: steps,
      rateAt,
      evaluation: held === undefined ? undefined : { batches: held, every: settings.evaluateEvery ?? steps, patience: settings.patience },
      store: folder?.store,
      async onLoaded(loaded) {
        memory = loaded.memory;
        if (runner.remember !== undefined) await runner.remember(loaded, data.pairs());
      },
      async onEnd(read) {
        // Reading may be a call of all ranks, so that all read the same.
        if (out === undefined || !isAlone(job)) for (const name of model.trained) weights.set(name, await read(name));
        if (out === undefined) await job.onTrained?.({ trainable: model, read: async (name) => weights.get(name)! });
        else if (isFirst(job)) await out.write({ trainable: model, read: isAlone(job) ? read : async (name) => weights.get(name)! });
      },
    });
    for await (const progress of training) emit(progress);
    const result = await training;
    await folder?.finish();
    return { ...result, trainableParameters: parametersOf(model), data: data.report, memory: memory!, weights };
  } finally {
    await folder?.close();
  }
}

const isAlone = ({ parallel }: TuneJob): boolean => (parallel?.collective.size ?? 1) === 1;
const isFirst = ({ parallel }: TuneJob): boolean => (parallel?.collective.rank ?? 0) === 0;

function checkTogether({ patience, evaluateEvery, warmUpSteps, steps }: TrainingSettings, { evaluation }: TuneJob): void {
  const fail = (problem: string, option: string): never => {
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `tune: ${problem}`, { option });
  };
  if (evaluation === undefined && patience !== undefined)
    fail("patience needs evaluation examples; give some, or leave it out", "patience");
  if (evaluation === undefined && evaluateEvery !== undefined)
    fail("evaluateEvery needs evaluation examples; give some, or leave it out", "evaluateEvery");
  if (warmUpSteps !== undefined && steps !== undefined && warmUpSteps > steps)
    fail(`warmUpSteps is ${warmUpSteps}, more than the ${steps} steps there are; give fewer`, "warmUpSteps");
}

function contextOf({ model, name }: TuneBase, { context }: TrainingSettings): number {
  if (context === undefined) return Math.min(model.contextLength, usual.context);
  if (!model.isBounded || context <= model.contextLength) return context;
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `tune: context is ${context}, but ${name} reads at most ${model.contextLength} tokens; ask for no more`,
    { context, contextLength: model.contextLength },
  );
}

/** The model as the technique makes it; without one, all of it is trained. */
async function trainableOf({ base, technique, settings, start }: TuneJob, context: number): Promise<Trainable> {
  const { model } = base;
  if (model.kind !== "text")
    throw new FrugalError("FRUGAL_UNSUPPORTED", `tune: ${base.name} is an encoder and writes no text; take a text model`, {
      kind: model.kind,
    });
  const graph = model.graphs({ contextLength: context })["score"]!;
  const weights = base.weights ?? model.weights;
  // Frequencies that a file holds are no parameters.
  const own = weightsIn(graph).filter((name) => !name.startsWith("rope."));
  const whole: Trainable = { graph, weights, trained: new Set(own), virtualTokens: 0 };
  const numbers = async (name: string): Promise<Float32Array> => {
    const weight = weights.get(name);
    if (weight === undefined) throw new FrugalError("FRUGAL_INTERNAL", `tune: there is no weight "${name}"`, { weight: name });
    return (await decodeWeights([createBuilder().weight(name, weight.shape)], weights, {})).get(name)!;
  };
  const made = await technique?.apply({ ...whole, trained: new Set() }, { seed: settings.seed ?? 0, numbers });
  const trainable = made ?? whole;
  return start === undefined ? trainable : start(trainable);
}

const weightsIn = (graph: Graph): string[] =>
  inOrder(graph.outputs.values()).flatMap((value) => (value.op === "weight" ? [sourceName(value)] : []));

const parametersOf = ({ trained, weights }: Trainable): number =>
  [...trained].reduce((sum, name) => sum + size(weights.get(name)!.shape), 0);

interface Data {
  readonly batches: ExampleBatches;
  /** Whether a step may be several batches. */
  readonly splits: boolean;
  readonly held: readonly Batch[] | undefined;
  readonly report: DataReport;
  /** Every pair of answers once. */
  pairs(): AsyncGenerator<Batch>;
}

async function readData(job: TuneJob, model: Trainable, context: number, signal: AbortSignal): Promise<Data> {
  const { base, settings } = job;
  const { virtualTokens } = model;
  const tokenizer = await base.tokenizer?.();
  const options: ReadOptions = {
    tokenizer,
    template: tokenizer === undefined ? undefined : await templateOf(tokenizer, base.chatTemplate),
    vocabularySize: base.model.vocabularySize,
    context: context - virtualTokens,
    badLines: settings.badLines,
    tooLong: settings.tooLong,
    signal,
  };
  const isPairs = settings.preference !== undefined;
  const read = async (
    sources: readonly ByteSource[],
  ): Promise<{ readonly examples: readonly (Example | Preference)[]; readonly report: DataReport }> => {
    if (!isPairs) return readExamples(sources, options);
    const { examples, report } = await readPreferences(sources, options);
    return { examples: distinct(examples), report };
  };
  const { examples, report } = await read(job.data);
  const heldExamples = job.evaluation === undefined ? undefined : (await read(job.evaluation)).examples;
  const rows = settings.rows ?? Math.max(usual.rows, ...longest([...examples, ...(heldExamples ?? [])], virtualTokens));
  const packing = { virtualTokens, positionsOf: base.model.positionsOf };
  const size = settings.tokensPerStep === undefined ? { examplesPerStep: settings.examplesPerStep ?? usual.examplesPerStep } : settings;
  const asked: BatchOptions = {
    ...packing,
    examplesPerStep: size.examplesPerStep,
    tokensPerStep: settings.tokensPerStep,
    order: settings.order,
    seed: settings.seed,
    epochs: settings.epochs ?? (settings.steps === undefined ? 1 : undefined),
  };
  const once = (some: readonly (Example | Preference)[], perStep: number): ExampleBatches =>
    createBatches(some, { ...packing, examplesPerStep: perStep, rows, order: "file", epochs: 1 });
  return {
    batches: createBatches(examples, { ...asked, rows }),
    splits: createBatches(examples, asked).caps.T > rows,
    held: heldExamples === undefined ? undefined : await once(heldExamples, heldExamples.length).next(),
    report,
    async *pairs() {
      for (const some of [examples, heldExamples ?? []]) {
        if (some.length === 0) continue;
        const each = once(some, 1);
        for (let step = await each.next(); step !== undefined; step = await each.next()) yield* step;
      }
    },
  };
}

async function templateOf(tokenizer: Tokenizer, source: string | undefined): Promise<ChatTemplate> {
  const chat = await import("../text/chat-template.ts");
  return source === undefined ? chat.fallbackTemplate(tokenizer) : chat.chatTemplate(source, chat.templateTokens(tokenizer));
}

/** Rows of the longest example, which is computed at once whatever the limit would be. */
function longest(examples: readonly (Example | Preference)[], virtualTokens: number): number[] {
  const rows = (example: Example | Preference): number =>
    "chosen" in example ? rows(example.chosen) + rows(example.rejected) : example.ids.length + virtualTokens;
  return [examples.reduce((most, example) => Math.max(most, rows(example)), 0)];
}

/** Names that tell pairs apart, for files of the same name in different folders. */
function distinct(pairs: readonly Preference[]): Preference[] {
  const seen = new Map<string, number>();
  return pairs.map((pair) => {
    const times = (seen.get(pair.name) ?? 0) + 1;
    seen.set(pair.name, times);
    if (times === 1) return pair;
    const name = `${pair.name} (${times})`;
    return { name, chosen: { ...pair.chosen, name }, rejected: { ...pair.rejected, name } };
  });
}

interface Runner {
  readonly stepper: Stepper;
  readonly backend: Backend;
  readonly signal: AbortSignal;
  readonly remember?: PreferenceStepper["remember"];
}

/** The steps of the optimizer that is asked for, on one rank or on all. */
async function runnerOf(job: TuneJob, model: Trainable, { splits, held, batches }: Data, signal: AbortSignal): Promise<Runner> {
  const { settings, parallel } = job;
  const { backend } = job.base;
  const { clip, memory, preference, precision = "f32" } = settings;
  const loss = preference === undefined ? {} : { loss: preferenceLoss };
  const plain: ProgramOptions = {
    clip,
    ...(precision === "f32" ? {} : { keep: precision }),
    ...(precision === "f16" ? { lossScale: true } : {}),
    ...loss,
  };
  const evaluates = held !== undefined;
  const optimizer = optimizerOf(settings);
  const recompute =
    settings.recompute ??
    (memory === undefined || optimizer.needs === "losses"
      ? undefined
      : recomputeWithin(byteSize("memory", memory), model, optimizer.rule, batches.caps, plain));
  const options: ProgramOptions = {
    ...plain,
    ...(recompute === undefined ? {} : { recompute: { segments: recompute, symbols: batches.caps } }),
  };
  const found: Runner = await (async () => {
    if (optimizer.needs === "losses") {
      if (clip !== undefined || recompute !== undefined || precision !== "f32" || !isAlone(job))
        throw new FrugalError(
          "FRUGAL_BAD_ARGUMENT",
          "tune: the optimizer computes no gradients, so clip, recompute, precision and workers have nothing to do; leave them out",
        );
      return { stepper: optimizer.stepper(model, { seed: (settings.seed ?? 0) >>> 0, ...loss }), backend, signal };
    }
    if (isAlone(job)) {
      const programs = trainingPrograms(model, optimizer.rule, options);
      const scaled = options.lossScale === true ? withLossScale(programs) : programs;
      return { stepper: gradientStepper(scaled, { splits, evaluates }), backend, signal };
    }
    const { dataParallel } = await import("./parallel/data-parallel.ts");
    return dataParallel(model, optimizer.rule, backend, { ...parallel!, signal, evaluates, ...options });
  })();
  if (preference === undefined) return found;
  const stepper = preferenceStepper(found.stepper, model.graph, preference.beta ?? usual.beta);
  return { ...found, stepper, remember: stepper.remember };
}

function optimizerOf({ optimizer = "adamw", weightDecay }: TrainingSettings): Optimizer {
  const { name, ...options } = typeof optimizer === "string" ? { name: optimizer } : optimizer;
  return createOptimizer(name, weightDecay === undefined ? options : { weightDecay, ...options });
}

function rates({ settings, technique, base }: TuneJob, steps: number): (step: number) => number {
  const {
    learningRate = usualRate(technique !== undefined, base.weights !== undefined),
    schedule = "constant",
    warmUpSteps,
    floor,
  } = settings;
  const factor = createSchedule({
    kind: schedule,
    steps,
    ...(warmUpSteps === undefined ? {} : { warmUpSteps }),
    ...(floor === undefined ? {} : { floor }),
  });
  return (step) => learningRate * factor(step);
}

/** Few new weights bear a higher rate than many trained ones, and untrained ones the highest. */
const usualRate = (hasTechnique: boolean, isNew: boolean): number => (isNew ? 1e-3 : hasTechnique ? 2e-4 : 5e-5);

/** What must be the same when a training is resumed: all that its numbers depend on. */
function settingsOf({ base, settings, techniqueSettings }: TuneJob, data: DataReport, steps: number): JsonObject {
  const { steps: _steps, saveEvery: _save, keep: _keep, memory: _memory, rows, ...rest } = settings;
  const { family, parameters, vocabularySize } = base.model;
  return {
    model: { family, parameters, vocabularySize },
    technique: techniqueSettings ?? "full",
    examples: data.examples,
    tokens: data.tokens,
    ...rest,
    // Sums depend on how they are split.
    ...(rows === undefined ? {} : { rows }),
    // A training whose rate does not fall may go on for longer than was asked for at first.
    ...((settings.schedule ?? "constant") === "constant" ? {} : { steps }),
  };
}

interface OpenFolder {
  readonly store: RunStore;
  finish(): Promise<void>;
  close(): Promise<void>;
}

async function openFolder(job: TuneJob, model: Trainable, stepper: Stepper, settings: JsonObject): Promise<OpenFolder | undefined> {
  if (job.out === undefined) return undefined;
  const { path, resume, bytes } = job.out;
  const { saveEvery: every = usual.saveEvery, keep = usual.keep, patience } = job.settings;
  const sizeOf = (names: readonly string[]): number => 4 * names.reduce((sum, name) => sum + size(stepper.weights.get(name)!.shape), 0);
  const checkpoint = sizeOf(stepper.kept) + (patience === undefined ? 0 : sizeOf(stepper.trained));
  const options = { path, settings, resume, every, keep, bytes: { checkpoint, others: bytes(model) + (1 << 20) } };
  if (isFirst(job)) {
    const folder = await openRunFolder(options);
    return { store: folder, finish: folder.finish, close: folder.close };
  }
  const { silentStore } = await import("./parallel/data-parallel.ts");
  const { resumed, close } = await watchRunFolder(options);
  return { store: silentStore(every, resumed), finish: async () => undefined, close };
}

/** `tune`: from a model and examples to an adapter or a tuned model. */
import { type BackendName, chooseBackend } from "../backends/choose.ts";
import type { Backend } from "../backends/backend.ts";
import { openFile, realPath } from "../formats/files.ts";
import type { JsonObject } from "../formats/json.ts";
import type { PeftFiles } from "../formats/peft.ts";
import type { BaseModel } from "../models/base-model.ts";
import { openModel } from "../models/index.ts";
import { type HubSettings, openCheckpoint, type OpenProgress } from "../models/open-checkpoint.ts";
import { type Awaitable, startAwaitable } from "../tensor/awaitable.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkOptions } from "../tensor/options.ts";
import { bytesSource, type ByteSource } from "../tensor/source.ts";
import type { ParallelOptions } from "../training/parallel/data-parallel.ts";
import { settingShapes, type TrainingSettings } from "../training/recipe.ts";
import type { TuningTechnique } from "../training/technique.ts";
import type { TrainingProgress } from "../training/run.ts";
import { startTuning, type TuneResult as TrainedResult } from "../training/tune.ts";
import { tuningTechnique } from "./index.ts";
import { startFrom, techniqueOf } from "./start-from.ts";
import { adapterFiles, resultWriter } from "./tuned-files.ts";
import { openAdapter } from "./tuning/open-adapter.ts";

/** JSONL files, their sources where there is no file system, or the rows themselves: {"messages"}, {"prompt", "completion"}, {"text"}, {"ids"}; {"prompt", "chosen", "rejected"} for preferences. */
export type Examples = string | readonly (string | JsonObject | ByteSource)[];

/** Options of `tune`. */
export interface TuneOptions extends TrainingSettings {
  /** Held out from the training and looked at now and then. */
  readonly evaluation?: Examples;
  /** The folder for the result, the checkpoints, losses.jsonl and curve.svg. Without it, the result has the trained weights. */
  readonly out?: string;
  /** Go on where a training with the same settings was cut off. Default false. */
  readonly resume?: boolean;
  /** An adapter to go on from; what a LoRA was made with need not be said again. */
  readonly startFrom?: string;
  /** Of a model that is named, not loaded. */
  readonly backend?: BackendName | Backend;
  readonly threads?: number;
  readonly hub?: HubSettings;
  /** Of the download of a model, and of nothing else. */
  readonly onOpen?: (progress: OpenProgress) => void;
  /** Of the ranks that train together. */
  readonly parallel?: ParallelOptions;
  readonly signal?: AbortSignal;
}

/** What `tune` gives in the end. */
export interface TuneResult extends TrainedResult {
  /**
   * Where nothing was written: the adapter as PEFT's files in memory, for `model.adapters.load` and for who saves them. Rejects with
   * FRUGAL_UNSUPPORTED where the technique makes none, FRUGAL_BAD_ARGUMENT where `out` has it.
   */
  adapter(): Promise<PeftFiles>;
}

/** Iterate over the steps, or await the whole. */
export type Tuning = Awaitable<TrainingProgress, TuneResult>;

const ownOptions: readonly (keyof Omit<TuneOptions, keyof TrainingSettings>)[] = [
  "evaluation",
  "out",
  "resume",
  "startFrom",
  "backend",
  "threads",
  "hub",
  "onOpen",
  "parallel",
  "signal",
];

/**
 * Tunes a model to examples. Without a technique all of its weights are trained; with one, those that it adds or chooses. What is returned
 * is iterated over for the steps, or awaited for the whole. An abort ends it within one batch and leaves a checkpoint to resume from.
 *
 * Rejects with FRUGAL_BAD_FILE naming file, line and column of a bad example, FRUGAL_CONTEXT_FULL or FRUGAL_BAD_FILE for one that is too long,
 * FRUGAL_BAD_ARGUMENT, FRUGAL_NUMERIC naming step and examples of a loss that is no number, FRUGAL_NO_SPACE, or the signal's reason.
 * ```ts
 * import { techniques, tune } from "frugal";
 * const examples = [{ prompt: "2 + 2 =", completion: " 4" }];
 * const training = tune("gemma-3-270m-it", examples, techniques.lora({ rank: 8 }), { steps: 20, out: "adder" });
 * for await (const { step, loss } of training) console.log(step, loss);
 * const { losses, trainableParameters } = await training;
 * ```
 * Without `out` nothing is written and no file system is needed; `await (await training).adapter()` has the adapter's files.
 */
export function tune(
  model: string | { readonly base: BaseModel },
  examples: Examples,
  technique?: TuningTechnique,
  options: TuneOptions = {},
): Tuning {
  return startAwaitable(async (emit, signal) => {
    checkOptions("tune", options, [...Object.keys(settingShapes), ...ownOptions]);
    const { base, close } =
      typeof model === "string" ? await openBase(model, options, signal) : { base: model.base, close: async () => undefined };
    const files: ByteSource[] = [];
    try {
      const sources = async (of: Examples, name: string): Promise<readonly ByteSource[]> => {
        const opened = await openExamples(of, name);
        files.push(...opened);
        return opened;
      };
      const job = await jobFor(base, technique, options);
      let adapter: Promise<PeftFiles> | undefined;
      const training = startTuning({
        ...job,
        // Made at once, for it reads the base too; whoever asks is told if that failed.
        async onTrained(tuned) {
          adapter = adapterFiles({ checkpoint: base.opened.checkpoint, model: base.model }, job.technique, tuned);
          await adapter.catch(() => undefined);
        },
        data: await sources(examples, "examples"),
        evaluation: options.evaluation === undefined ? undefined : await sources(options.evaluation, "evaluation"),
        signal,
      });
      for await (const progress of training) emit(progress);
      const result = await training;
      return { ...result, adapter: () => adapter ?? Promise.reject(inFolder(options.out!)) };
    } finally {
      await Promise.all(files.map((file) => file.close()));
      await close();
    }
  }, options.signal);
}

const inFolder = (out: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_ARGUMENT", `tune: the adapter is in ${out}, not in memory; open it there, or tune without out`, { out });

async function openBase(
  source: string,
  options: TuneOptions,
  signal: AbortSignal,
): Promise<{ readonly base: BaseModel; close(): Promise<void> }> {
  const opened = await openCheckpoint(source, { hub: options.hub, onProgress: options.onOpen, signal });
  try {
    return { base: { opened, model: openModel(opened.checkpoint), backend: await chooseBackend(options) }, close: () => opened.close() };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

type Job = Parameters<typeof startTuning>[0];

async function jobFor(
  { opened, model, backend }: BaseModel,
  given: TuningTechnique | undefined,
  options: TuneOptions,
): Promise<Omit<Job, "data">> {
  const { out, resume = false, startFrom: start, parallel } = options;
  const adapter = start === undefined ? undefined : await openAdapter(start, opened.checkpoint, model);
  const technique = given === undefined && adapter !== undefined ? made(start!, techniqueOf(adapter)) : given;
  if (out !== undefined && (await realPath(out)) === (await realPath(opened.path)))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `tune: ${out} is the model that is tuned; write the result elsewhere`, { out });
  const known = new Set(Object.keys(settingShapes));
  return {
    base: {
      name: opened.name,
      model,
      backend,
      tokenizer: opened.hasTokenizer ? opened.tokenizer : undefined,
      chatTemplate: opened.chatTemplate,
    },
    technique,
    techniqueSettings:
      technique === undefined ? undefined : { name: technique.name, ...technique.options, ...(start === undefined ? {} : { start }) },
    ...(adapter === undefined ? {} : { start: async (trainable) => startFrom(start!, trainable, adapter) }),
    settings: Object.fromEntries(Object.entries(options).filter(([key, value]) => known.has(key) && value !== undefined)),
    out:
      out === undefined
        ? undefined
        : { path: out, resume, ...resultWriter(out, { checkpoint: opened.checkpoint, model, folder: opened.path }, technique) },
    parallel,
  };
}

function made(path: string, found: ReturnType<typeof techniqueOf>): TuningTechnique {
  if (found !== undefined) return tuningTechnique(found.name, found.options);
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${path}: does not say which technique made it; name it with its options`, { path });
}

const isSource = (each: unknown): each is ByteSource =>
  typeof each === "object" && each !== null && "read" in each && typeof each.read === "function";

async function openExamples(examples: Examples, name: string): Promise<ByteSource[]> {
  const all = typeof examples === "string" ? [examples] : examples;
  if (!Array.isArray(all))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `tune: ${name} are neither a path nor a list; give rows, or the paths of JSONL files`);
  const rows = all.filter((each) => typeof each !== "string" && !isSource(each));
  const sources: ByteSource[] = [];
  try {
    for (const each of all)
      if (typeof each === "string") sources.push(await openFile(each));
      else if (isSource(each)) sources.push(each);
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
  // A row that is no object is told from its line.
  if (rows.length > 0 || sources.length === 0)
    sources.push(bytesSource(name, new TextEncoder().encode(rows.map((row) => `${JSON.stringify(row) ?? "null"}\n`).join(""))));
  return sources;
}

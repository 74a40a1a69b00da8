/** `tune` for pages: the engine trains beside the model that it has loaded. */
import type { TuneOptions as NodeTuneOptions } from "../techniques/tune.ts";
import type { PeftFiles } from "../formats/peft.ts";
import type { JsonObject } from "../formats/json.ts";
import type { TrainingProgress } from "../training/run.ts";
import type { TuneResult } from "../training/tune.ts";
import { type Awaitable, startAwaitable } from "../tensor/awaitable.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkOptions } from "../tensor/options.ts";
import { type BrowserModel, modelCall, type ModelWithCall } from "./model.ts";
import type { TechniqueDescription } from "./techniques.ts";

/** Rows of examples, or files of them, one JSON object a line. */
export type BrowserExamples = Blob | readonly (JsonObject | Blob)[];

export interface BrowserTuneOptions extends Omit<
  NodeTuneOptions,
  "out" | "resume" | "startFrom" | "backend" | "threads" | "hub" | "onOpen" | "parallel" | "evaluation"
> {
  /** Held out from the training and looked at now and then. */
  readonly evaluation?: BrowserExamples;
}

export interface BrowserTuneResult extends Omit<TuneResult, "weights"> {
  /** The adapter as PEFT has it: for `model.adapters.load`, and for who saves it. Absent for techniques of which there is no such file. */
  readonly files?: PeftFiles;
  /** The trained weights by name, where there are no files. */
  readonly weights?: ReadonlyMap<string, Float32Array>;
}

/**
 * Tunes a model that is loaded; as in Node it is iterated over for its steps, or awaited for the whole.
 * ```ts
 * import { load, techniques, tune } from "frugal/browser";
 * await using model = await load("stories", { adapterSlots: { count: 1, rank: 8 } });
 * const training = tune(model, [{ prompt: "2 + 2 =", completion: " 4" }], techniques.lora({ rank: 8 }), { steps: 20 });
 * for await (const { step, loss } of training) console.log(step, loss);
 * const { files } = await training;
 * await model.adapters.load("adder", files!);
 * ```
 */
export function tune(
  model: BrowserModel,
  examples: BrowserExamples,
  technique?: TechniqueDescription,
  options: BrowserTuneOptions = {},
): Awaitable<TrainingProgress, BrowserTuneResult> {
  const { signal: own, evaluation, ...sent } = options;
  return startAwaitable(
    async (emit, signal) => {
      checkOptions("tune", { signal: own }, ["signal"]);
      if (!(modelCall in model)) throw new FrugalError("FRUGAL_BAD_ARGUMENT", "tune: the model is not one that load gave; load it first");
      const given = evaluation === undefined ? sent : { ...sent, evaluation };
      const result = await (model as ModelWithCall)[modelCall]("tune", [examples, technique, given], {
        signal,
        onEvent: (progress) => emit(progress as TrainingProgress),
      });
      return result as BrowserTuneResult;
    },
    own instanceof AbortSignal ? own : undefined,
  );
}

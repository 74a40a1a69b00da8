/**
 * What a step is: the graphs it needs, and how they are run on its batches. The loop (run.ts) drives whichever it is given: gradients here,
 * forward passes only (MeZO), or gradients averaged over workers.
 */
import type { Call, LoadedModel, Outputs, Weights } from "../backends/backend.ts";
import type { Graph } from "../graph/value.ts";
import type { Batch } from "./batch.ts";
import type { TrainingPrograms } from "./programs.ts";

export interface StepSettings {
  readonly rate: number;
  /** 1 in the first step. */
  readonly count: number;
  /** Read between the batches of a step, while nothing is updated yet. */
  readonly signal?: AbortSignal | undefined;
}

export interface StepOutcome {
  readonly loss: number;
  /** Before clipping; absent where no gradient is ever whole. */
  readonly gradientNorm: number | undefined;
}

export interface Stepper {
  readonly graphs: Readonly<Record<string, Graph>>;
  readonly weights: Weights;
  /** Weights that change from step to step: a checkpoint holds them. */
  readonly kept: readonly string[];
  /** Those of them that belong to the model, not to the optimizer. */
  readonly trained: readonly string[];
  step(loaded: LoadedModel, batches: readonly Batch[], settings: StepSettings): Promise<StepOutcome>;
  /** The loss without learning. */
  evaluate(loaded: LoadedModel, batch: Batch): Promise<number>;
}

/** Runs one of a stepper's programs on a batch, to its end: what an aborted run leaves in the weights is not known. */
export function runBatch(loaded: LoadedModel, program: string, { inputs, symbols }: Batch, more: Call["inputs"]): Promise<Outputs> {
  return loaded.run({ program, symbols, inputs: { ...inputs, ...more } });
}

/**
 * Backpropagation. Where every step is one batch, forward, backward and update are one program; else gradients are kept and added up from
 * batch to batch, and one update follows. `evaluates`: whether the program that only evaluates is wanted too.
 */
export function gradientStepper(
  { graphs, weights, parameters, states }: TrainingPrograms,
  { splits, evaluates }: { readonly splits: boolean; readonly evaluates: boolean },
): Stepper {
  const { step, first, more, update, evaluate } = graphs;
  const evaluating = evaluates ? { evaluate } : {};
  return {
    graphs: splits ? { first, more, update, ...evaluating } : { step, ...evaluating },
    weights,
    kept: [...parameters, ...states],
    trained: parameters,
    async step(loaded, batches, { rate, count, signal }) {
      const settings = { rate: Float32Array.of(rate), count: Float32Array.of(count) };
      if (!splits) {
        const outputs = await runBatch(loaded, "step", batches[0]!, settings);
        return { loss: outputs["loss"]![0]!, gradientNorm: outputs["gradientNorm"]?.[0] };
      }
      let loss = 0;
      for (const [i, batch] of batches.entries()) {
        signal?.throwIfAborted();
        loss += (await runBatch(loaded, i === 0 ? "first" : "more", batch, {}))["loss"]![0]!;
      }
      const symbols = { T: 0, S: 0, C: 0, R: 0 };
      const outputs = await loaded.run({ program: "update", symbols, inputs: settings });
      return { loss, gradientNorm: outputs["gradientNorm"]?.[0] };
    },
    evaluate: async (loaded, batch) => (await runBatch(loaded, "evaluate", batch, {}))["loss"]![0]!,
  };
}

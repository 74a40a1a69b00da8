/**
 * Where a step's gradients come from. The plain source runs whole programs and knows all gradients at the end; one that runs the way back
 * in stages says `known` earlier, and its sums travel while the rest is computed.
 */
import type { LoadedModel } from "../../backends/backend.ts";
import type { Graph } from "../../graph/value.ts";
import type { Batch } from "../batch.ts";
import { gradientName } from "../programs.ts";
import { runBatch } from "../stepper.ts";

export interface GradientSource {
  readonly graphs: Readonly<Record<string, Graph>>;
  /** Parameters in the order in which their gradients become known. */
  readonly parameters: readonly string[];
  /**
   * Runs the batches (none: all gradients are zero) and returns their loss. `known` is called once for each parameter, in that order, when
   * its gradient is whole; `read` may be called from then on, once, until the next run. It resolves when all that was known by then is sent.
   */
  run(loaded: LoadedModel, batches: readonly Batch[], known: (parameter: string) => Promise<void>): Promise<number>;
  /** Writes the gradient into the array. */
  read(loaded: LoadedModel, parameter: string, into: Float32Array): Promise<void>;
  /** Bytes of gradients that are kept outside the backend's memory, at most, so far. */
  readonly bytes: number;
}

/** Gradients are weights of the model, added up from batch to batch by the programs `first` and `more`. */
export function wholeGradients(graphs: { readonly first: Graph; readonly more: Graph }, parameters: readonly string[]): GradientSource {
  let isEmpty = false;
  return {
    graphs: { first: graphs.first, more: graphs.more },
    parameters,
    bytes: 0,
    async run(loaded, batches, known) {
      isEmpty = batches.length === 0;
      let loss = 0;
      for (const [i, batch] of batches.entries()) loss += (await runBatch(loaded, i === 0 ? "first" : "more", batch, {}))["loss"]![0]!;
      await Promise.all(parameters.map(known));
      return loss;
    },
    async read(loaded, parameter, into) {
      if (isEmpty) into.fill(0);
      else into.set(await loaded.readWeight(gradientName(parameter)));
    },
  };
}

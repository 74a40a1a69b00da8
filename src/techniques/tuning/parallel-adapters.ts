/**
 * Parallel adapters (He et al. 2022, arXiv 2110.04366, "scaled parallel adapter"): beside the feed-forward part, y ← y + s · up(f(down(x))),
 * where x is what the part itself reads (after the norm, where that comes first). up begins as zero, so the model begins unchanged.
 *
 * Weights: see bottleneck.ts.
 */
import type { Graph } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { type AdapterOptions, atParts, bottleneck, checkAdapterOptions } from "./bottleneck.ts";
import { evenNumbers, zeros } from "./initial-numbers.ts";

export interface ParallelAdapterOptions extends AdapterOptions {
  /** s; 4 where absent, as the paper found best. */
  readonly scale?: number | undefined;
}

/** Size 64, activation relu, beside the feed-forward part where the options do not say. */
export function parallelAdapters(options: ParallelAdapterOptions = {}): TuningTechnique {
  const technique = "parallel adapters";
  checkOptions(technique, options, ["size", "activation", "places", "scale"]);
  checkAdapterOptions(technique, options);
  const { size = 64, activation = "relu", places = ["mlp"], scale = 4 } = options;
  if (!Number.isFinite(scale) || scale === 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: scale is ${String(scale)}; give a number that is not 0`, {
      option: "scale",
    });
  const serve = (graph: Graph): Graph =>
    atParts(graph, technique, places, (b, name, y, x) => b.add(y, b.scale(bottleneck(b, name, x, size, activation), { by: scale })));
  return {
    name: "parallel-adapters",
    paper: {
      title: "Towards a Unified View of Parameter-Efficient Transfer Learning",
      authors: "Junxian He, Chunting Zhou, Xuezhe Ma, Taylor Berg-Kirkpatrick, Graham Neubig",
      year: 2022,
      url: "https://arxiv.org/abs/2110.04366",
    },
    survey: "4.2 tuning: additive",
    changes: "graph",
    serve,
    // LoRA's beginning, which the paper takes too: uniform ±1/√width below, zeros above.
    apply: async (model, { seed }) =>
      withAdded(model, serve(model.graph), technique, (name, shape) =>
        name.endsWith(".adapter.down") ? evenNumbers(seed, name, shape, shape[1]! ** -0.5) : zeros(shape),
      ),
  };
}

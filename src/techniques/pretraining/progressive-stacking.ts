/**
 * Progressive stacking (Gong et al. 2019, ICML, "Efficient Training of BERT by Progressively Stacking"; for language models Du et al. 2024, arXiv
 * 2405.15319): a trained model of L layers starts one of k·L: layer i begins as layer i mod L, everything else as it is. Training goes on from
 * there. The caller opens the deeper model (the same configuration with more layers) and trains it with the weights this gives.
 */
import type { Weight, Weights } from "../../backends/backend.ts";
import type { Graph } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import { type DepthOrder, expectPlaces, inLayer, layersIn, sourceLayers, weightShapes } from "./layer-names.ts";

export interface StackingOptions {
  /** stack, the paper's, where absent. */
  readonly order?: DepthOrder | undefined;
}

/**
 * Weights for the graph of a deeper model: those of the trained one, used again where layers repeat; nothing is copied.
 * Throws FRUGAL_BAD_ARGUMENT where the graph is not deeper, or differs in more than depth.
 * @example const weights = stackLayers(small.weights, deeper.graphs()["score"]!);
 */
export function stackLayers(trained: Weights, deeper: Graph, options: StackingOptions = {}): Weights {
  const technique = "stacking";
  checkOptions(technique, options, ["order"]);
  const { order = "stack" } = options;
  if (order !== "stack" && order !== "interleave")
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: order is ${JSON.stringify(order)}; give "stack" or "interleave"`, {
      option: "order",
    });
  const shapes = weightShapes(deeper);
  expectPlaces(trained.keys(), new Set(shapes.keys()), technique);
  const sources = sourceLayers(layersIn(trained.keys()), layersIn(shapes.keys()), order, technique);
  const weights = new Map<string, Weight>([...trained].filter(([name]) => name.startsWith("rope.")));
  for (const [name, shape] of shapes) {
    const place = inLayer(name);
    const from = place === undefined ? name : `layers.${sources[place.layer]!}.${place.part}`;
    const weight = trained.get(from);
    if (weight === undefined || weight.shape.join() !== shape.join())
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${technique}: "${name}" is [${shape.join(", ")}] in the deeper model, and "${from}" ${weight === undefined ? "is not in" : `[${weight.shape.join(", ")}] in`} the trained one; change nothing but the number of layers, or grow the width too (learned growth)`,
        { weight: name },
      );
    weights.set(name, weight);
  }
  return weights;
}

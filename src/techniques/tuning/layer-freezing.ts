/**
 * Layer freezing (Lee, Tang, Lin 2019, arXiv 1911.03090): the first layers, whose features serve any task, stay as they are; the rest is trained.
 *
 * Adds no weights. After another technique it takes the frozen layers from what that trains.
 */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { checkLayers, layerCount, layerOf } from "./layer-numbers.ts";
import { parameterNames } from "./name-patterns.ts";

export interface LayerFreezingOptions {
  /** How many layers are frozen, from the first, or which; negative numbers count from the last. */
  readonly layers: number | readonly number[];
  /** Whether embeddings (and a head that is the same table) are frozen; true where absent. */
  readonly embedding?: boolean | undefined;
  /** Whether the last norm and the head are frozen; false where absent. */
  readonly head?: boolean | undefined;
}

const isEmbedding = (name: string): boolean => /^(?:\w*[eE]mbedding(?:Norm)?|projectIn)(?:\.|$)/.test(name);

export function layerFreezing(options: LayerFreezingOptions): TuningTechnique {
  const technique = "layer freezing";
  checkOptions(technique, options, ["layers", "embedding", "head"]);
  const { layers, embedding = true, head = false } = options;
  if (!Array.isArray(layers) && layers === undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: layers is missing; say how many, or which`, { option: "layers" });
  if (!Array.isArray(layers)) wholeNumber(technique, "layers", layers, 0);
  return {
    name: "freeze-layers",
    paper: {
      title: "What Would Elsa Do? Freezing Layers During Transformer Fine-Tuning",
      authors: "Jaejun Lee, Raphael Tang, Jimmy Lin",
      year: 2019,
      url: "https://arxiv.org/abs/1911.03090",
    },
    survey: "4.2 tuning: selective",
    changes: "schedule",
    async apply(model) {
      const count = layerCount(model.graph);
      const which = typeof layers === "number" ? Array.from({ length: layers }, (_, i) => i) : layers;
      const frozen = checkLayers(which, count, technique);
      const stays = (name: string): boolean => {
        const layer = layerOf(name);
        if (layer !== undefined) return frozen.has(layer);
        return isEmbedding(name) ? embedding : head;
      };
      const before = model.trained.size > 0 ? [...model.trained] : parameterNames(model.graph);
      const trained = new Set(before.filter((name) => !stays(name)));
      if (trained.size === 0)
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: nothing is left to train; freeze fewer than ${count} layers`, {
          option: "layers",
        });
      return { ...model, trained };
    },
  };
}

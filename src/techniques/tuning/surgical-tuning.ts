/**
 * Surgical fine-tuning (Lee et al. 2022, arXiv 2210.11466): only some layers are trained: the first where inputs have changed, middle ones
 * where features have, the last where answers have. Also the way to train weights by name.
 *
 * Adds no weights.
 */
import { FrugalError, nearest } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { checkLayers, layerCount, layerOf } from "./layer-numbers.ts";
import { chooseNames, parameterNames } from "./name-patterns.ts";

export type LayerThird = "first" | "middle" | "last";

export interface SurgicalTuningOptions {
  /** Numbers of layers, negative ones from the last, or a third of them; all where absent. */
  readonly layers?: readonly number[] | LayerThird | undefined;
  /** Patterns of names (name-patterns.ts), within those layers where `layers` is given. */
  readonly weights?: readonly string[] | undefined;
  /** Patterns of names that are left out. */
  readonly except?: readonly string[] | undefined;
}

const thirds: readonly LayerThird[] = ["first", "middle", "last"];

export function surgicalTuning(options: SurgicalTuningOptions): TuningTechnique {
  const technique = "selective tuning";
  checkOptions(technique, options, ["layers", "weights", "except"]);
  const { layers, weights, except } = options;
  if (layers === undefined && weights === undefined)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: neither layers nor weights are named; name some, or ["*"] for all`);
  if (typeof layers === "string" && !thirds.includes(layers)) throw unknownThird(technique, layers);
  return {
    name: "selective",
    paper: {
      title: "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts",
      authors: "Yoonho Lee, Annie S. Chen, Fahim Tajwar, Ananya Kumar, Huaxiu Yao, Percy Liang, Chelsea Finn",
      year: 2022,
      url: "https://arxiv.org/abs/2210.11466",
    },
    survey: "4.2 tuning: selective",
    changes: "schedule",
    async apply(model) {
      const all = parameterNames(model.graph);
      const count = layerCount(model.graph);
      const inside =
        layers === undefined ? undefined : checkLayers(typeof layers === "string" ? third(layers, count) : layers, count, technique);
      const within = inside === undefined ? all : all.filter((name) => inside.has(layerOf(name) ?? -1));
      const chosen = weights === undefined ? within : chooseNames(within, weights, technique, "weights");
      const left = new Set(except === undefined ? [] : chooseNames(chosen, except, technique, "except"));
      const trained = chosen.filter((name) => !left.has(name));
      if (trained.length === 0)
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: the options leave nothing to train; name more weights or layers`);
      return { ...model, trained: new Set([...model.trained, ...trained]) };
    },
  };
}

/** Of three parts as equal as can be; none is empty where there is a layer. */
function third(which: LayerThird, count: number): number[] {
  const part = thirds.indexOf(which);
  const start = Math.min(Math.floor((part * count) / 3), count - 1);
  const end = Math.max(Math.floor(((part + 1) * count) / 3), start + 1);
  return Array.from({ length: end - start }, (_, i) => start + i);
}

function unknownThird(technique: string, layers: string): FrugalError {
  const near = nearest(layers, thirds);
  return new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${technique}: layers is ${JSON.stringify(layers)}; ${near === undefined ? `give numbers, or ${thirds.join(", ")}` : `did you mean "${near}"?`}`,
    { option: "layers", value: layers },
  );
}

/**
 * BitFit (Ben Zaken, Ravfogel, Goldberg 2021, arXiv 2106.10199): only the biases are trained, those of norms included.
 *
 * Adds no weights; trains those called `….bias`.
 */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { chooseNames, parameterNames } from "./name-patterns.ts";

export interface BitFitOptions {
  /**
   * Patterns (name-patterns.ts) of what the biases belong to: ["attention.query", "mlp.up"] is the half that the paper found to be enough.
   * All where absent.
   */
  readonly of?: readonly string[] | undefined;
}

export function bitFit(options: BitFitOptions = {}): TuningTechnique {
  checkOptions("BitFit", options, ["of"]);
  return {
    name: "bitfit",
    paper: {
      title: "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models",
      authors: "Elad Ben Zaken, Shauli Ravfogel, Yoav Goldberg",
      year: 2021,
      url: "https://arxiv.org/abs/2106.10199",
    },
    survey: "4.2 tuning: selective",
    changes: "schedule",
    async apply(model) {
      const owners = parameterNames(model.graph).flatMap((name) => (name.endsWith(".bias") ? [name.slice(0, -".bias".length)] : []));
      if (owners.length === 0)
        throw new FrugalError("FRUGAL_UNSUPPORTED", "BitFit: the model has no biases; tune its norms, or use IA3 or LoRA");
      const chosen = options.of === undefined ? owners : chooseNames(owners, options.of, "BitFit", "of");
      return { ...model, trained: new Set([...model.trained, ...chosen.map((name) => `${name}.bias`)]) };
    },
  };
}

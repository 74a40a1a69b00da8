/**
 * LN-tuning (Zhao et al. 2023, arXiv 2312.11420): only the norms of the layers and the last norm are trained. Blind to the kind of norm: weights,
 * and biases where there are some.
 *
 * Adds no weights; trains those called `…Norm` and `norm`, with their `.bias`. PEFT's file holds `NORM.ln_tuning_layers.weight`: whole norms.
 */
import { checkOptions } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { normNames } from "./norm-names.ts";

export interface NormTuningOptions {
  /** Patterns of names (name-patterns.ts) among the norms; all but those of queries and keys where absent. */
  readonly norms?: readonly string[] | undefined;
}

export function normTuning(options: NormTuningOptions = {}): TuningTechnique {
  checkOptions("LN-tuning", options, ["norms"]);
  return {
    name: "ln-tuning",
    paper: {
      title: "Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
      authors: "Bingchen Zhao, Haoqin Tu, Chen Wei, Jieru Mei, Cihang Xie",
      year: 2023,
      url: "https://arxiv.org/abs/2312.11420",
    },
    survey: "4.2 tuning: selective",
    changes: "schedule",
    apply: async (model) => ({ ...model, trained: new Set([...model.trained, ...normNames(model.graph, options.norms)]) }),
  };
}

/**
 * LN-tuning (Zhao et al. 2023, arXiv 2312.11420): only the norms of the layers and the last norm are trained. Blind to the kind of norm: weights,
 * and biases where there are some.
 *
 * Adds no weights; trains those called `…Norm` and `norm`, with their `.bias`. PEFT's file holds `NORM.ln_tuning_layers.weight`: whole norms.
 */
import type { Graph } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { chooseNames, parameterNames } from "./name-patterns.ts";

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

/** Weights and biases of norms. Throws FRUGAL_UNSUPPORTED where there are none, FRUGAL_BAD_ARGUMENT for a pattern that fits none. */
export function normNames(graph: Graph, patterns?: readonly string[]): string[] {
  const all = parameterNames(graph).filter((name) => /(?:^norm|Norm)(?:\.bias)?$/.test(name));
  if (all.length === 0)
    throw new FrugalError("FRUGAL_UNSUPPORTED", "LN-tuning: the model has no norms with weights; use another technique");
  if (patterns === undefined) return all.filter((name) => !/\.(?:query|key)Norm(?:\.bias)?$/.test(name));
  const withoutBias = all.filter((name) => !name.endsWith(".bias"));
  const chosen = new Set(chooseNames(withoutBias, patterns, "LN-tuning", "norms"));
  return all.filter((name) => chosen.has(name.replace(/\.bias$/, "")));
}

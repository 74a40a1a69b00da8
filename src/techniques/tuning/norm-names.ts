/** Which weights of a model belong to its norms. */
import type { Graph } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { chooseNames, parameterNames } from "./name-patterns.ts";

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

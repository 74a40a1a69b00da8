/**
 * PiSSA — adapting the principal singular values (Meng et al. 2024, arXiv 2404.02948, equations 2 to 4): A and B begin as the largest singular
 * values of W, scale · B A = U S Vᵀ cut at the rank, and what is left of W is frozen.
 *
 * What is left, W − scale · B₀ A₀, is never stored: h = W x + scale · (B A − B₀ A₀) x, with the first numbers of both kept as weights that are
 * not trained. So W stays as it is stored, the first step's results are exactly the model's, and the tuned adapter is a LoRA of twice the rank.
 *
 * Weights: LoRA's, and `NAME.principalA`, `NAME.principalB`, which are what those begin with.
 */
import type { Graph } from "../../graph/value.ts";
import type { TechniqueContext, TuningTechnique } from "../../training/technique.ts";
import { type Initial, withAdded } from "./added-weights.ts";
import { checkLowRank, expectRanks, type LowRank, type LowRankOptions, lowRanks } from "./low-rank.ts";
import { lowRankProduct, rewriteLowRanks } from "./low-rank-graph.ts";
import { type Factors, principal } from "./principal.ts";

export function pissa(options: LowRankOptions = {}): TuningTechnique {
  checkLowRank("pissa", options);
  const chosen = (graph: Graph): LowRank[] => expectRanks(lowRanks(graph, options, "pissa"), "pissa");
  const rewritten = (graph: Graph): Graph =>
    rewriteLowRanks(chosen(graph), graph, (b, site, low) => {
      const begun = lowRankProduct(b, site, low, ["principalA", "principalB"]);
      return b.add(site.y, b.sub(lowRankProduct(b, site, low), begun));
    });
  return {
    name: "pissa",
    paper: {
      title: "PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language Models",
      authors: "Fanxu Meng, Zhaohui Wang, Muhan Zhang",
      year: 2024,
      url: "https://arxiv.org/abs/2404.02948",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "graph",
    serve: rewritten,
    async apply(model, context) {
      const tuned = withAdded(model, rewritten(model.graph), "pissa", principalNumbers(chosen(model.graph), context));
      return { ...tuned, trained: new Set([...tuned.trained].filter((name) => model.trained.has(name) || !/\.principal[AB]$/.test(name))) };
    },
  };
}

/** Each matrix is decomposed once, when the first of its four weights is asked for. */
function principalNumbers(chosen: readonly LowRank[], context: TechniqueContext): Initial {
  const of = new Map(chosen.map((low) => [low.name, low]));
  const found = new Map<string, Promise<Factors>>();
  return async (name) => {
    const dot = name.lastIndexOf(".");
    const low = of.get(name.slice(0, dot))!;
    const factors = found.get(low.name) ?? context.numbers(low.name).then((numbers) => principal(numbers, low));
    found.set(low.name, factors);
    return (await factors)[name.endsWith("A") ? "A" : "B"].slice();
  };
}

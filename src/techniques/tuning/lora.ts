/**
 * LoRA — low-rank adaptation (Hu et al. 2021, arXiv 2106.09685, section 4.1): h = W x + (alpha / rank) · B A x. W stays as it is stored.
 *
 * Weights: `NAME.loraA` [rank, inputs] and `NAME.loraB` [outputs, rank] of the linear NAME. A begins even in ±1/√inputs, B zero, as in PEFT.
 */
import type { Graph, Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import type { TechniqueContext, TuningTechnique } from "../../training/technique.ts";
import { type Initial, withAdded } from "./added-weights.ts";
import { evenNumbers, zeros } from "./initial-numbers.ts";
import { checkLowRank, type LowRank, type LowRankOptions, lowRanks } from "./low-rank.ts";
import { type LinearSite, rewriteLinears } from "./targets.ts";

export type LoraOptions = LowRankOptions;

/** @example const technique = lora({ rank: 8, alpha: 16, targets: "q_proj, v_proj" }); */
export function lora(options: LoraOptions = {}): TuningTechnique {
  checkLowRank("lora", options);
  const serve = (graph: Graph): Graph => withLora(graph, options, "lora");
  return {
    name: "lora",
    paper: {
      title: "LoRA: Low-Rank Adaptation of Large Language Models",
      authors: "Edward J. Hu, Yelong Shen, Phillip Wallis, Zeyuan Allen-Zhu, Yuanzhi Li, Shean Wang, Lu Wang, Weizhu Chen",
      year: 2021,
      url: "https://arxiv.org/abs/2106.09685",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "graph",
    serve,
    apply: async (model, context) => withAdded(model, serve(model.graph), "lora", loraNumbers(context)),
  };
}

/** The graph with LoRA at the targets. */
export function withLora(graph: Graph, options: LoraOptions, technique: string): Graph {
  return rewriteLowRanks(lowRanks(graph, options, technique), graph, (b, site, low) => b.add(site.y, lowRankProduct(b, site, low)));
}

/** Rewrites the graph at each of the linears. */
export function rewriteLowRanks(
  chosen: readonly LowRank[],
  graph: Graph,
  change: (b: Builder, site: LinearSite, low: LowRank) => Value,
): Graph {
  const of = new Map(chosen.map((low) => [low.name, low]));
  return rewriteLinears(graph, of.keys(), (b, site) => change(b, site, of.get(site.name)!));
}

/** scale · B A x; the rank's few columns are scaled, not the result's many. `names` are those of A and B after the linear's. */
export function lowRankProduct(
  b: Builder,
  { name, x, inputs, outputs }: LinearSite,
  { rank, scale }: LowRank,
  names: readonly [A: string, B: string] = ["loraA", "loraB"],
): Value {
  const few = b.scale(b.matmul(x, b.weight(`${name}.${names[0]}`, [rank, inputs])), { by: scale });
  return b.matmul(few, b.weight(`${name}.${names[1]}`, [outputs, rank]));
}

/** First numbers of A: Kaiming's with a = √5, which are even in ±1/√inputs; of B: zeros. */
export const loraNumbers =
  ({ seed }: TechniqueContext): Initial =>
  (name, shape) =>
    name.endsWith(".loraA") ? evenNumbers(seed, name, shape, shape[1]! ** -0.5) : zeros(shape);

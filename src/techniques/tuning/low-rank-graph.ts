/** Low-rank products beside a model's own, and the first numbers of their weights: what the techniques of LoRA's family share. */
import type { Graph, Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import type { TechniqueContext, TuningTechnique } from "../../training/technique.ts";
import { type Initial, withAdded } from "./added-weights.ts";
import { evenNumbers, zeros } from "./initial-numbers.ts";
import { type LowRank, type LowRankOptions, lowRanks } from "./low-rank.ts";
import { type LinearSite, rewriteLinears } from "./targets.ts";

/** What LoRA, and whatever differs from it in options alone, does: h = W x + scale · B A x at the targets. */
export function plainLowRank(technique: string, options: LowRankOptions): Required<Pick<TuningTechnique, "serve" | "apply">> {
  const serve = (graph: Graph): Graph => withLowRanks(graph, options, technique);
  return { serve, apply: async (model, context) => withAdded(model, serve(model.graph), technique, lowRankNumbers(context)) };
}

/** The graph with low-rank products at the targets. */
export function withLowRanks(graph: Graph, options: LowRankOptions, technique: string): Graph {
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
export const lowRankNumbers =
  ({ seed }: TechniqueContext): Initial =>
  (name, shape) =>
    name.endsWith(".loraA") ? evenNumbers(seed, name, shape, shape[1]! ** -0.5) : zeros(shape);

/**
 * AdaLoRA — adaptive budgets of ranks (Zhang et al. 2023, arXiv 2303.10512): h = W x + (alpha / rank) · P Λ Q x (equation 3), and
 * the loss has weight · mean over all P and Q of ‖PᵀP − I‖ and ‖Q Qᵀ − I‖ added, Frobenius norms (equation 4, with PEFT's norm and mean).
 *
 * Weights, by PEFT's names of them: Q `NAME.loraA` [rank, inputs] and P `NAME.loraB` [outputs, rank], normal with deviation 0.02 at first;
 * Λ `NAME.loraE` [rank, 1], zero at first. The paper's second half, in which the least important of Λ are set to zero between steps, is not
 * here: it reads each step's gradients, which no technique sees.
 */
import type { Graph, Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { normalNumbers, zeros } from "./initial-numbers.ts";
import { checkLowRank, type LowRank, type LowRankOptions, lowRanks } from "./low-rank.ts";
import { rewriteLowRanks } from "./low-rank-graph.ts";
import type { LinearSite } from "./targets.ts";

export interface AdaLoraOptions extends Omit<LowRankOptions, "scaling"> {
  /** What the mean of the norms is multiplied by; 0.5 where absent. */
  readonly orthogonality?: number | undefined;
}

export function adalora(options: AdaLoraOptions = {}): TuningTechnique {
  checkLowRank("adalora", options, ["orthogonality"], ["scaling"]);
  const { orthogonality = 0.5, ...low } = options;
  if (!Number.isFinite(orthogonality) || orthogonality < 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `adalora: orthogonality is ${String(orthogonality)}; give a number from 0 on`, {
      option: "orthogonality",
    });
  return {
    name: "adalora",
    paper: {
      title: "AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning",
      authors: "Qingru Zhang, Minshuo Chen, Alexander Bukharin, Nikos Karampatziakis, Pengcheng He, Yu Cheng, Weizhu Chen, Tuo Zhao",
      year: 2023,
      url: "https://arxiv.org/abs/2303.10512",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "graph",
    serve: (graph) => rewritten(graph, low).graph,
    async apply(model, { seed }) {
      const { graph, penalty } = rewritten(model.graph, low);
      const tuned = withAdded(model, graph, "adalora", (name, shape) =>
        name.endsWith(".loraE") ? zeros(shape) : normalNumbers(seed, name, shape, 0.02),
      );
      return orthogonality === 0 ? tuned : { ...tuned, penalty: penalty(orthogonality, model.penalty) };
    },
  };
}

/** The graph, and the penalty over the very weights that stand in it. */
function rewritten(graph: Graph, options: LowRankOptions): { graph: Graph; penalty: (weight: number, before: Value | undefined) => Value } {
  const norms = new Map<string, Value>();
  let builder: Builder;
  const changed = rewriteLowRanks(lowRanks(graph, options, "adalora"), graph, (b, site, low) => {
    builder = b;
    const { A, B, E } = factors(b, site, low);
    norms.set(`${site.name}.loraA`, distanceFromIdentity(b, b.matmul(A, A), low.rank));
    const columns = b.transpose(B);
    norms.set(`${site.name}.loraB`, distanceFromIdentity(b, b.matmul(columns, columns), low.rank));
    // PEFT divides by the rank and a little, so that a rank of 0 divides by something.
    const scale = (low.scale * low.rank) / (low.rank + 1e-5);
    const few = b.scale(b.mul(b.matmul(site.x, A), b.reshape(E, { shape: [low.rank] })), { by: scale });
    return b.add(site.y, b.matmul(few, B));
  });
  return {
    graph: changed,
    penalty(weight, before) {
      const total = [...norms.values()].reduce((sum, norm) => builder.add(sum, norm));
      const mean = builder.scale(total, { by: weight / norms.size });
      return before === undefined ? mean : builder.add(before, mean);
    },
  };
}

const factors = (b: Builder, { name, inputs, outputs }: LinearSite, { rank }: LowRank): { A: Value; B: Value; E: Value } => ({
  A: b.weight(`${name}.loraA`, [rank, inputs]),
  B: b.weight(`${name}.loraB`, [outputs, rank]),
  E: b.weight(`${name}.loraE`, [rank, 1]),
});

/** [1, 1]: the Frobenius norm of the square matrix less the identity. */
function distanceFromIdentity(b: Builder, matrix: Value, rank: number): Value {
  const identity = Float32Array.from({ length: rank * rank }, (_, i) => (i % (rank + 1) === 0 ? 1 : 0));
  const difference = b.sub(matrix, b.constant(identity, [rank, rank]));
  return b.reshape(b.sqrt(b.dot(difference, difference)), { shape: [1, 1] });
}

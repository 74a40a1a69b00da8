/**
 * DoRA — weight-decomposed low-rank adaptation (Liu et al. 2024, arXiv 2402.09353, section 4): W' = m · V / ‖V‖ with V = W + scale · B A and
 * ‖·‖ of each row; the norm counts as a constant in the gradient (section 4.3). m begins as ‖W‖.
 *
 * Weights: LoRA's, `NAME.magnitude` [outputs], and `NAME.squares` [outputs], which is not trained: W's squared norms, made at load. With it
 * ‖V‖² = ‖W‖² + 2·scale·W·(B A) + scale²·‖B A‖² takes products with W alone, however W is stored, and never W + B A itself.
 */
import type { Graph, Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import type { TechniqueContext, TuningTechnique } from "../../training/technique.ts";
import { type Initial, withAdded } from "./added-weights.ts";
import { checkLowRank, type LowRank, type LowRankOptions, lowRanks } from "./low-rank.ts";
import { lowRankNumbers, lowRankProduct, rewriteLowRanks } from "./low-rank-graph.ts";
import type { LinearSite } from "./targets.ts";

export function dora(options: LowRankOptions = {}): TuningTechnique {
  checkLowRank("dora", options);
  const serve = (graph: Graph): Graph => rewriteLowRanks(lowRanks(graph, options, "dora"), graph, decomposed);
  return {
    name: "dora",
    paper: {
      title: "DoRA: Weight-Decomposed Low-Rank Adaptation",
      authors: "Shih-Yang Liu, Chien-Yi Wang, Hongxu Yin, Pavlo Molchanov, Yu-Chiang Frank Wang, Kwang-Ting Cheng, Min-Hung Chen",
      year: 2024,
      url: "https://arxiv.org/abs/2402.09353",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "graph",
    serve,
    async apply(model, context) {
      const tuned = withAdded(model, serve(model.graph), "dora", doraNumbers(context));
      return { ...tuned, trained: new Set([...tuned.trained].filter((name) => model.trained.has(name) || !name.endsWith(".squares"))) };
    },
  };
}

function decomposed(b: Builder, site: LinearSite, low: LowRank): Value {
  const magnitude = b.weight(`${site.name}.magnitude`, [site.outputs]);
  return b.mul(b.add(site.y, lowRankProduct(b, site, low)), b.div(magnitude, b.detach(norms(b, site, low))));
}

/** [outputs]: the norm of each row of W + scale · B A. */
function norms(b: Builder, { name, weight, inputs, outputs }: LinearSite, { rank, scale }: LowRank): Value {
  const [A, B] = [b.weight(`${name}.loraA`, [rank, inputs]), b.weight(`${name}.loraB`, [outputs, rank])];
  const crossed = b.transpose(b.matmul(A, weight));
  const squared = b.matmul(B, b.matmul(A, A));
  const both = b.add(b.scale(crossed, { by: 2 * scale }), b.scale(squared, { by: scale ** 2 }));
  const added = b.reshape(b.sum(b.mul(both, B), { axis: 1 }), { shape: [outputs] });
  return b.sqrt(b.add(b.weight(`${name}.squares`, [outputs]), added));
}

function doraNumbers(context: TechniqueContext): Initial {
  const plain = lowRankNumbers(context);
  return async (name, shape) => {
    const kind = name.slice(name.lastIndexOf(".") + 1);
    if (kind !== "magnitude" && kind !== "squares") return plain(name, shape);
    const squares = rowSquares(await context.numbers(name.slice(0, -kind.length - 1)), shape[0]!);
    return Float32Array.from(kind === "squares" ? squares : squares.map(Math.sqrt));
  };
}

function rowSquares(matrix: Float32Array, rows: number): Float64Array {
  const width = matrix.length / rows;
  return Float64Array.from({ length: rows }, (_, i) => {
    let sum = 0;
    for (let k = i * width; k < (i + 1) * width; k++) sum += matrix[k]! ** 2;
    return sum;
  });
}

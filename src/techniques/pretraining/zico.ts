/**
 * ZiCo (Li et al. 2023, arXiv 2301.11300, equation 16): Σ over layers of log Σ_θ E|∂L/∂θ| / √Var|∂L/∂θ|, mean and variance over batches: gradients
 * that are large and alike from batch to batch. A layer is a matrix; numbers whose gradient never changes are left out.
 */
import { FrugalError } from "../../tensor/error.ts";
import { gradients, type ZeroCostProxy } from "./zero-cost.ts";

export const zico: ZeroCostProxy = {
  name: "zico",
  paper: {
    title: "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients",
    authors: "Guihong Li, Yuedong Yang, Kartikeya Bhardwaj, Radu Marculescu",
    year: 2023,
    url: "https://arxiv.org/abs/2301.11300",
  },
  survey: "4.1 pre-training: architecture search",
  async score(candidate) {
    const count = candidate.batches.length;
    if (count < 2)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `zico: ${count} batches; give at least 2, it compares their gradients`, {
        batches: count,
      });
    const sums = new Map<string, Float64Array>();
    const squares = new Map<string, Float64Array>();
    for await (const found of gradients(candidate))
      for (const { name, isMatrix, gradient } of found) {
        if (!isMatrix) continue;
        const sum = sums.get(name) ?? new Float64Array(gradient.length);
        const square = squares.get(name) ?? new Float64Array(gradient.length);
        gradient.forEach((x, i) => {
          sum[i]! += Math.abs(x);
          square[i]! += x * x;
        });
        sums.set(name, sum);
        squares.set(name, square);
      }
    let score = 0;
    for (const [name, sum] of sums) {
      const square = squares.get(name)!;
      let layer = 0;
      sum.forEach((total, i) => {
        const mean = total / count;
        const variance = square[i]! / count - mean * mean;
        // Below the rounding of the squares there is no variance to see.
        if (variance > 1e-12 * mean * mean) layer += mean / Math.sqrt(variance);
      });
      if (layer > 0) score += Math.log(layer);
    }
    return score;
  },
};

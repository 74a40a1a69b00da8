/** Gradient norm (Abdelfattah et al. 2021, arXiv 2101.08134): Σ over parameters of ‖∂L/∂θ‖, at the beginning; the mean over batches. */
import { meanOver, type ZeroCostProxy } from "./zero-cost.ts";

export const gradientNorm: ZeroCostProxy = {
  name: "grad-norm",
  paper: {
    title: "Zero-Cost Proxies for Lightweight NAS",
    authors: "Mohamed S. Abdelfattah, Abhinav Mehrotra, Łukasz Dudziak, Nicholas D. Lane",
    year: 2021,
    url: "https://arxiv.org/abs/2101.08134",
  },
  survey: "4.1 pre-training: architecture search",
  score: (candidate) =>
    meanOver(candidate, (found) =>
      found.reduce((sum, { gradient }) => sum + Math.sqrt(gradient.reduce((squares, x) => squares + x * x, 0)), 0),
    ),
};

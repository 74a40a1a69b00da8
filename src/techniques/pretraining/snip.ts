/** SNIP (Lee, Ajanthan, Torr 2018, arXiv 1810.02340) summed over a model: Σ |θ · ∂L/∂θ|, at the beginning; the mean over batches. */
import { meanOver, saliency, type ZeroCostProxy } from "./zero-cost.ts";

export const snip: ZeroCostProxy = {
  name: "snip",
  paper: {
    title: "SNIP: Single-shot Network Pruning based on Connection Sensitivity",
    authors: "Namhoon Lee, Thalaiyasingam Ajanthan, Philip H. S. Torr",
    year: 2018,
    url: "https://arxiv.org/abs/1810.02340",
  },
  survey: "4.1 pre-training: architecture search",
  score: (candidate) => meanOver(candidate, saliency),
};

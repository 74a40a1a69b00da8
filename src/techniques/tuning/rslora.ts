/**
 * rsLoRA — rank-stabilised LoRA (Kalajdzievski 2023, arXiv 2312.03732, definition 3.1): LoRA with the scale alpha / √rank, so that a large
 * rank learns as fast as a small one. Weights are LoRA's.
 */
import type { TuningTechnique } from "../../training/technique.ts";
import { checkLowRank, type LowRankOptions } from "./low-rank.ts";
import { plainLowRank } from "./low-rank-graph.ts";

export type RsLoraOptions = Omit<LowRankOptions, "scaling">;

export function rslora(options: RsLoraOptions = {}): TuningTechnique {
  checkLowRank("rslora", options, [], ["scaling"]);
  return {
    name: "rslora",
    paper: {
      title: "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA",
      authors: "Damjan Kalajdzievski",
      year: 2023,
      url: "https://arxiv.org/abs/2312.03732",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "graph",
    ...plainLowRank("rslora", { ...options, scaling: "square-root" }),
  };
}

/**
 * LoRA — low-rank adaptation (Hu et al. 2021, arXiv 2106.09685, section 4.1): h = W x + (alpha / rank) · B A x. W stays as it is stored.
 *
 * Weights: `NAME.loraA` [rank, inputs] and `NAME.loraB` [outputs, rank] of the linear NAME. A begins even in ±1/√inputs, B zero, as in PEFT.
 */
import type { TuningTechnique } from "../../training/technique.ts";
import { checkLowRank, type LowRankOptions } from "./low-rank.ts";
import { plainLowRank } from "./low-rank-graph.ts";

/** @example const technique = lora({ rank: 8, alpha: 16, targets: "q_proj, v_proj" }); */
export function lora(options: LowRankOptions = {}): TuningTechnique {
  checkLowRank("lora", options);
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
    ...plainLowRank("lora", options),
  };
}

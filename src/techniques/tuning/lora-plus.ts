/**
 * LoRA+ — a larger learning rate for B (Hayou et al. 2024, arXiv 2402.12354, section 4.2): rate(B) = ratio · rate(A). Weights are LoRA's.
 */
import type { TuningTechnique } from "../../training/technique.ts";
import { checkLowRank, type LowRankOptions, positiveNumber } from "./low-rank.ts";
import { plainLowRank } from "./low-rank-graph.ts";

export interface LoraPlusOptions extends LowRankOptions {
  /** rate(B) / rate(A); 16 where absent, which the paper recommends. */
  readonly ratio?: number | undefined;
}

export function loraPlus(options: LoraPlusOptions = {}): TuningTechnique {
  checkLowRank("lora-plus", options, ["ratio"]);
  const { ratio = 16, ...rest } = options;
  positiveNumber("lora-plus", "ratio", ratio);
  const plain = plainLowRank("lora-plus", rest);
  return {
    name: "lora-plus",
    paper: {
      title: "LoRA+: Efficient Low Rank Adaptation of Large Models",
      authors: "Soufiane Hayou, Nikhil Ghosh, Bin Yu",
      year: 2024,
      url: "https://arxiv.org/abs/2402.12354",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "schedule",
    serve: plain.serve,
    async apply(model, context) {
      const tuned = await plain.apply(model, context);
      const added = [...tuned.trained].filter((name) => !model.trained.has(name) && name.endsWith(".loraB"));
      return { ...tuned, rateFactors: new Map([...(model.rateFactors ?? []), ...added.map((name) => [name, ratio] as const)]) };
    },
  };
}

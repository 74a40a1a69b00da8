/**
 * QLoRA — LoRA over a model stored in 4 bits (Dettmers et al. 2023, arXiv 2305.14314, section 3): h = decode(W₄) x + (alpha / rank) · B A x, with
 * every linear's weight as NF4, its scales quantised again where asked for. Products read any format, so beyond storing nothing is new:
 * over a file that is quantised already, plain LoRA is the same.
 *
 * Weights are LoRA's. Linears that take no more bits than the format stay as they are stored; so does the head.
 */
import type { TuningTechnique } from "../../training/technique.ts";
import { checkLowRank, type LowRankOptions } from "./low-rank.ts";
import { plainLowRank } from "./low-rank-graph.ts";
import { bitsOf, bitsOfFormat, storageFormat, storageKeys, type StorageOptions, storedAs } from "./stored-as.ts";
import { chooseLinears, type Targets } from "./targets.ts";

export interface QloraOptions extends LowRankOptions, StorageOptions {
  /** The linears that are stored in the format; "all-linear" where absent. */
  readonly stored?: Targets | undefined;
}

export function qlora(options: QloraOptions = {}): TuningTechnique {
  checkLowRank("qlora", options, [...storageKeys, "stored"]);
  const { format: name, doubleQuantisation, stored = "all-linear", ...rest } = options;
  const format = storageFormat("qlora", { format: name, doubleQuantisation });
  const plain = plainLowRank("qlora", rest);
  return {
    name: "qlora",
    paper: {
      title: "QLoRA: Efficient Finetuning of Quantized LLMs",
      authors: "Tim Dettmers, Artidoro Pagnoni, Ari Holtzman, Luke Zettlemoyer",
      year: 2023,
      url: "https://arxiv.org/abs/2305.14314",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "weights",
    serve: plain.serve,
    async apply(model, context) {
      const weights = new Map(model.weights);
      for (const linear of chooseLinears(model.graph, stored, "qlora")) {
        const weight = weights.get(linear.name)!;
        const bits = bitsOf(weight);
        if (bits !== undefined && bits <= bitsOfFormat(format)) continue;
        weights.set(linear.name, storedAs(linear.name, weight, await context.numbers(linear.name), format, doubleQuantisation === true));
      }
      return plain.apply({ ...model, weights }, context);
    },
  };
}

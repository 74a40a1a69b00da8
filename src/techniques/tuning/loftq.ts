/**
 * LoftQ — LoRA-aware quantisation (Li et al. 2023, arXiv 2310.08659, algorithm 1): W ≈ Q + scale · B A. In turns, Q is W − scale · B A stored in few
 * bits, and B A the largest singular values of W − Q, so that training begins near the model that was quantised.
 *
 * Weights: LoRA's, and the targets' own, stored in the format.
 */
import type { Weight } from "../../backends/backend.ts";
import type { StorageFormat } from "../../tensor/format.ts";
import { wholeNumber } from "../../tensor/options.ts";
import { decodeTensor } from "../../tensor/stored.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { withAdded } from "./added-weights.ts";
import { checkLowRank, expectRanks, type LowRank, type LowRankOptions, lowRanks } from "./low-rank.ts";
import { withLowRanks } from "./low-rank-graph.ts";
import { type Factors, principal } from "./principal.ts";
import { storageFormat, storageKeys, type StorageOptions, storedAs } from "./stored-as.ts";

export interface LoftqOptions extends LowRankOptions, StorageOptions {
  /** Turns of quantising and decomposing; 1 where absent. */
  readonly iterations?: number | undefined;
}

export function loftq(options: LoftqOptions = {}): TuningTechnique {
  checkLowRank("loftq", options, [...storageKeys, "iterations"]);
  const { format: name, doubleQuantisation = false, iterations = 1, ...rest } = options;
  wholeNumber("loftq", "iterations", iterations, 1, 100);
  const format = storageFormat("loftq", { format: name, doubleQuantisation });
  return {
    name: "loftq",
    paper: {
      title: "LoftQ: LoRA-Fine-Tuning-Aware Quantization for Large Language Models",
      authors: "Yixiao Li, Yifan Yu, Chen Liang, Pengcheng He, Nikos Karampatziakis, Weizhu Chen, Tuo Zhao",
      year: 2023,
      url: "https://arxiv.org/abs/2310.08659",
    },
    survey: "4.2 tuning: re-parameterised",
    changes: "weights",
    serve: (graph) => withLowRanks(graph, rest, "loftq"),
    async apply(model, context) {
      const weights = new Map(model.weights);
      const found = new Map<string, Factors>();
      for (const low of expectRanks(lowRanks(model.graph, rest, "loftq"), "loftq")) {
        const numbers = await context.numbers(low.name);
        const { stored, factors } = await inTurns(low, weights.get(low.name)!, numbers, {
          format,
          isDouble: doubleQuantisation,
          iterations,
        });
        weights.set(low.name, stored);
        found.set(low.name, factors);
      }
      return withAdded({ ...model, weights }, withLowRanks(model.graph, rest, "loftq"), "loftq", (of) =>
        found.get(of.slice(0, of.lastIndexOf(".")))![of.endsWith("A") ? "A" : "B"].slice(),
      );
    },
  };
}

interface Turns {
  readonly format: StorageFormat;
  readonly isDouble: boolean;
  readonly iterations: number;
}

async function inTurns(
  low: LowRank,
  weight: Weight,
  numbers: Float32Array,
  { format, isDouble, iterations }: Turns,
): Promise<{ readonly stored: Weight; readonly factors: Factors }> {
  let rest = numbers;
  for (let turn = 1; ; turn++) {
    const stored = storedAs(low.name, weight, rest, format, isDouble);
    const kept = await decoded(stored);
    const factors = principal(
      numbers.map((x, i) => x - kept[i]!),
      low,
    );
    if (turn === iterations) return { stored, factors };
    rest = withoutProduct(numbers, factors, low);
  }
}

const decoded = ({ content }: Weight): Promise<Float32Array> => {
  if (!("rows" in content)) throw new Error("stored-as gives rows");
  return decodeTensor(content.rows[0]!.tensor);
};

/** The matrix less scale · B A. */
function withoutProduct(matrix: Float32Array, { A, B }: Factors, { outputs, inputs, rank, scale }: LowRank): Float32Array {
  const rest = Float32Array.from(matrix);
  for (let o = 0; o < outputs; o++)
    for (let k = 0; k < rank; k++) {
      const factor = scale * B[o * rank + k]!;
      for (let i = 0; i < inputs; i++) rest[o * inputs + i]! -= factor * A[k * inputs + i]!;
    }
  return rest;
}

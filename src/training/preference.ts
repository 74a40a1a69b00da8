/**
 * Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290, equation 7): of two answers to a prompt, the better one is to gain
 * probability over the other, measured against the model as it was when the training began:
 *   loss = −log σ(β · (log π(chosen) − log π₀(chosen) − log π(rejected) + log π₀(rejected)))
 */
import type { LoadedModel } from "../backends/backend.ts";
import { symbol } from "../graph/dim.ts";
import type { Graph, Value } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import type { Builder } from "../ops/op.ts";
import { number } from "../ops/spread.ts";
import { FrugalError } from "../tensor/error.ts";
import type { Batch } from "./batch.ts";
import { lossesOf } from "./loss.ts";
import { runBatch, type Stepper } from "./stepper.ts";

/**
 * Gives the graph its `loss` [1, 1]. Beside targets [R] and scoredOffsets [S+1] (where the scored rows of each sequence begin) it reads, of
 * sequences that stand in pairs, chosen before rejected: partners [S] (the other one of the pair), signs [S, 1] (β, or −β for rejected
 * ones), referenceLosses [S, 1], and pairWeights [S, 1], which sum to 1 over the step.
 */
export function preferenceLoss(graph: Graph): Graph {
  const b = createBuilder();
  const S = symbol("S");
  const perSequence = (name: string): Value => b.input(name, { shape: [S, 1], type: "f32" });
  const losses = sequenceLosses(b, graph);
  // The negative of log π − log π₀, signed: half of a pair's margin.
  const gains = b.mul(b.sub(perSequence("referenceLosses"), losses), perSequence("signs"));
  const margins = b.add(gains, b.gather(gains, b.input("partners", { shape: [S], type: "i32" })));
  const loss = b.sum(b.mul(softplus(b, b.scale(margins, { by: -1 })), perSequence("pairWeights")), { axis: 0 });
  return {
    outputs: new Map([
      ["loss", loss],
      ["margins", margins],
    ]),
  };
}

/**
 * −log σ(−x) = (x + |x|) / 2 + log(1 + exp(−|x|)), which overflows for no x. At 0, where every training begins, |x| as it is written here has
 * the gradient 0; that of max(x, 0) would be 1.
 */
function softplus(b: Builder, x: Value): Value {
  const zero = number(b, 0, 2);
  const size = b.add(b.maximum(x, zero), b.maximum(b.scale(x, { by: -1 }), zero));
  return b.add(b.scale(b.add(x, size), { by: 0.5 }), b.log(b.scale(b.exp(b.scale(size, { by: -1 })), { by: 1, plus: 1 })));
}

/** The sum of the losses of each sequence's scored rows, [S, 1]. */
function sequenceLosses(b: Builder, graph: Graph): Value {
  const R = symbol("R");
  const S = symbol("S");
  const logits = graph.outputs.get("logits")!;
  const offsets = b.input("scoredOffsets", { shape: [{ constant: 1, coefficients: { S: 1 } }], type: "i32" });
  const losses = lossesOf(logits, b.input("targets", { shape: [R], type: "i32" }));
  return b.scatterAdd(losses, b.rowSequences(offsets, { rows: R }), { rows: S });
}

export interface PreferenceStepper extends Stepper {
  /** Computes the losses of the model as it is now, which later steps are compared with. */
  remember(loaded: LoadedModel, batches: AsyncIterable<Batch>): Promise<void>;
}

/**
 * A stepper whose programs have `preferenceLoss`, with what the model said of each answer before it learned. Answers are known by the names
 * of their examples, which must differ from pair to pair.
 */
export function preferenceStepper(stepper: Stepper, graph: Graph, beta: number): PreferenceStepper {
  const remembered = new Map<string, readonly [chosen: number, rejected: number]>();
  const b = createBuilder();
  const reference: Graph = { outputs: new Map([["losses", sequenceLosses(b, graph)]]) };
  const complete = (batch: Batch): Batch => ({ ...batch, inputs: { ...batch.inputs, ...pairInputs(batch, beta, remembered) } });
  return {
    ...stepper,
    graphs: { ...stepper.graphs, reference },
    step: (loaded, batches, settings) => stepper.step(loaded, batches.map(complete), settings),
    evaluate: (loaded, batch) => stepper.evaluate(loaded, complete(batch)),
    async remember(loaded, batches) {
      for await (const batch of batches) {
        const losses = (await runBatch(loaded, "reference", batch, {}))["losses"]!;
        for (let s = 0; s + 1 < batch.symbols.S; s += 2) remembered.set(batch.examples[s]!, [losses[s]!, losses[s + 1]!]);
      }
    },
  };
}

function pairInputs(
  { symbols: { S }, examples, inputs }: Batch,
  beta: number,
  remembered: ReadonlyMap<string, readonly [number, number]>,
): Batch["inputs"] {
  const weights = inputs["lossWeights"]!;
  const referenceLosses = Float32Array.from({ length: S }, (_, s) => {
    const pair = remembered.get(examples[s]!);
    if (pair === undefined)
      throw new FrugalError("FRUGAL_INTERNAL", `preference: what the model said of ${examples[s]} before the training is not known`);
    return pair[s % 2]!;
  });
  return {
    partners: Int32Array.from({ length: S }, (_, s) => s ^ 1),
    signs: Float32Array.from({ length: S }, (_, s) => (s % 2 === 0 ? beta : -beta)),
    referenceLosses,
    // Both of a pair have its margin.
    pairWeights: new Float32Array(S).fill(weights[0]! / 2),
  };
}

/** The loss of a language model's graph: cross-entropy of each scored row, weighed and summed. */
import { symbol } from "../graph/dim.ts";
import type { Graph, Value } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import { FrugalError } from "../tensor/error.ts";

/**
 * Adds inputs targets [R] (i32; negative: no loss) and lossWeights [R, 1] (f32), and gives `loss` [1, 1], the sum of weight · loss over the
 * rows, and `losses` [R, 1]. Where the logits are the product of a head, they are never all kept.
 */
export function withLoss(graph: Graph): Graph {
  const logits = graph.outputs.get("logits");
  if (logits === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", "training: the model gives no logits to learn from; take a model that writes text");
  const b = createBuilder();
  const targets = b.input("targets", { shape: [symbol("R")], type: "i32" });
  const lossWeights = b.input("lossWeights", { shape: [symbol("R"), 1], type: "f32" });
  const losses = lossesOf(logits, targets);
  const loss = b.sum(b.mul(losses, lossWeights), { axis: 0 });
  return {
    outputs: new Map([
      ["loss", loss],
      ["losses", losses],
    ]),
  };
}

/** Of each row of logits: −log of the share of its target. */
export function lossesOf(logits: Value, targets: Value): Value {
  const b = createBuilder();
  const [hidden, table] = logits.inputs;
  if (logits.op === "matmul" && table!.op === "weight") return b.linearCrossEntropy(hidden!, table!, targets);
  return b.crossEntropy(logits, targets);
}

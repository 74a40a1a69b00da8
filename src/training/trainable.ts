/**
 * A model as training sees it. Techniques take one and give one: they rewrite the graph, add weights, and say which weights are trained.
 * The graph is a family's `score` graph (models/family.ts): inputs tokens, positions, rowOffsets, outputRows -> logits, hidden.
 */
import type { Weights } from "../backends/backend.ts";
import type { Graph, Value } from "../graph/value.ts";

export interface Trainable {
  readonly graph: Graph;
  readonly weights: Weights;
  /** Names of the weights that are trained; all others stay as they are stored. */
  readonly trained: ReadonlySet<string>;
  /** Rows in front of each sequence that no text fills (prompt and prefix tuning): input `virtual` [T] (i32) holds their number, or -1. */
  readonly virtualTokens: number;
  /** Of single weights, what the learning rate is multiplied by (LoRA+). */
  readonly rateFactors?: ReadonlyMap<string, number> | undefined;
  /** Added to the loss, scaled already: [1, 1] (AdaLoRA's orthogonality). */
  readonly penalty?: Value | undefined;
}

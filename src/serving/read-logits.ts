/** Logits after tokens that are given, for scoring and for comparison with others. */
import type { Engine } from "./engine.ts";
import { createSequence } from "./sequence.ts";

/**
 * Calls `row` with the logits that follow each token from position `from` on, in order. The array is reused: what is to be kept must be copied.
 * Rejects with FRUGAL_BAD_ARGUMENT for ids outside the vocabulary, FRUGAL_CONTEXT_FULL, or the signal's reason.
 */
export async function readLogits(
  engine: Engine,
  ids: ArrayLike<number>,
  from: number,
  row: (position: number, logits: Float32Array) => void,
  signal?: AbortSignal,
): Promise<void> {
  await engine.run({
    sequence: createSequence(Array.from(ids)),
    readFrom: from,
    // Scoring passes over texts once.
    reuses: false,
    signal,
    read(position, logits) {
      row(position, logits);
      return "done";
    },
  });
}

/** What changes single logits before the choice: bias and penalties. Few ids are touched, so the work does not grow with the vocabulary. */
import type { Sampling } from "./sampling.ts";

/** Whether `adjust` would change anything. */
export const adjusts = (s: Sampling): boolean => s.logitBias.length > 0 || penalises(s);

const penalises = (s: Sampling): boolean =>
  s.penaltyWindow > 0 && (s.repetitionPenalty !== 1 || s.presencePenalty !== 0 || s.frequencyPenalty !== 0);

/**
 * Changes `logits` in place. For a token that stands n > 0 times among the last `penaltyWindow` tokens, with logit x:
 * x <- x > 0 ? x / repetition : x * repetition, then x <- x - presence - n * frequency: the order and arithmetic of llama.cpp's penalties.
 */
export function adjust(logits: Float32Array, s: Sampling, tokens: readonly number[]): void {
  for (const [id, bias] of s.logitBias) logits[id]! += bias;
  if (!penalises(s)) return;
  const counts = new Map<number, number>();
  for (let i = Math.max(0, tokens.length - s.penaltyWindow); i < tokens.length; i++)
    counts.set(tokens[i]!, (counts.get(tokens[i]!) ?? 0) + 1);
  for (const [id, count] of counts) {
    const x = logits[id];
    if (x === undefined || x === -Infinity) continue;
    logits[id] = (x > 0 ? x / s.repetitionPenalty : x * s.repetitionPenalty) - s.presencePenalty - count * s.frequencyPenalty;
  }
}

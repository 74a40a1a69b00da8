/** Log probabilities of tokens under the model's own distribution. */
import { logSumExp } from "./exponential.ts";
import { likeliest } from "./likeliest.ts";

export interface Alternative {
  readonly id: number;
  /** ln of the probability. */
  readonly logprob: number;
}

/** That of token `id` and of the `count` likeliest, likeliest first. */
export function logProbabilities(logits: Float32Array, id: number, count: number): { logprob: number; alternatives: Alternative[] } {
  const total = logSumExp(logits);
  const of = (token: number): number => logits[token]! - total;
  return { logprob: of(id), alternatives: likeliest(logits, count).map((token) => ({ id: token, logprob: of(token) })) };
}

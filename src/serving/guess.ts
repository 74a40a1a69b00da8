/** The token that a shortlist of logits promises: what the sampler would choose, were the shortlist the vocabulary. */
import { pick } from "./sampler.ts";
import type { Sampling } from "./sampling.ts";

/**
 * Chooses the token at `position` with the random number that the choice among all logits will use, so that both mostly agree. For samplings
 * without bias and penalties; `ids` are in any order. FRUGAL_NUMERIC where no logit is finite.
 */
export function guessToken(ids: Int32Array, logits: Float32Array, s: Sampling, position: number): number {
  // The sampler prefers the lower of equals, so it must see ids in their order.
  const order = Array.from(ids.keys()).sort((a, b) => ids[a]! - ids[b]!);
  return ids[
    order[
      pick(
        Float32Array.from(order, (i) => logits[i]!),
        s,
        position,
      )
    ]!
  ]!;
}

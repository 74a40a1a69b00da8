/** How likely a model finds a text that is given: what perplexity adds up, token by token. */
import type { Engine } from "./engine.ts";
import { type Alternative, logProbabilities } from "./logprobs.ts";
import { readLogits } from "./read-logits.ts";

/** A token of a given text. */
export interface TokenScore {
  readonly id: number;
  /** ln of its probability after those before it; the first token has none. */
  readonly logprob?: number;
  /** The likeliest tokens in its place, likeliest first. */
  readonly alternatives?: readonly Alternative[];
}

/** Scores of `ids`, with `count` alternatives each. Rejects as `readLogits` does. */
export async function promptLogprobs(
  engine: Engine,
  ids: ArrayLike<number>,
  count: number,
  signal?: AbortSignal,
): Promise<readonly TokenScore[]> {
  const scores: TokenScore[] = Array.from(ids, (id) => ({ id }));
  await readLogits(
    engine,
    ids,
    0,
    (position, logits) => {
      const next = scores[position + 1];
      if (next !== undefined) scores[position + 1] = { id: next.id, ...logProbabilities(logits, next.id, count) };
    },
    signal,
  );
  return scores;
}

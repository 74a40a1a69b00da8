/** What a model learns from: token ids, and which of them it is to predict. */

export interface Example {
  /** Where it comes from, for messages: "a.jsonl line 12". */
  readonly name: string;
  readonly ids: Int32Array;
  /**
   * As long as `ids`: 1 where the id is to be predicted from those before it. The first id has none before it, so it counts only where rows
   * of a technique stand in front (prompt and prefix tuning).
   */
  readonly scored: Uint8Array;
}

/** The same prompt answered twice, for preference tuning. */
export interface Preference {
  readonly name: string;
  readonly chosen: Example;
  readonly rejected: Example;
}

/** How many ids of an example are predicted, behind so many rows of a technique. */
export function scoredCount({ scored }: Example, virtualTokens = 0): number {
  let count = 0;
  for (let i = virtualTokens > 0 ? 0 : 1; i < scored.length; i++) count += scored[i]!;
  return count;
}

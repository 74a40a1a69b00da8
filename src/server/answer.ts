/** Parts of answers that several endpoints share. */
import { randomUUID } from "node:crypto";
import type { GenerationResult } from "../serving/generation.ts";

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** `perPrompt` texts in a row share a prompt, which counts once; so do its cached tokens, as the first of them found them. */
export function usageOf(results: readonly GenerationResult[], perPrompt: number): Usage {
  let [prompt, cached, completion] = [0, 0, 0];
  results.forEach(({ promptIds, ids, timings }, i) => {
    completion += ids.length;
    if (i % perPrompt !== 0) return;
    prompt += promptIds.length;
    cached += timings.cachedTokens;
  });
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}

/** Where the time went, for the first text of a request; names as llama-server has them. */
export interface AnswerTimings {
  readonly queued_ms: number;
  readonly cache_n: number;
  readonly prompt_n: number;
  readonly prompt_ms: number;
  readonly prompt_per_second: number;
  readonly predicted_n: number;
  readonly predicted_ms: number;
  readonly predicted_per_second: number;
}

export function timingsOf({ promptIds, ids, timings }: GenerationResult): AnswerTimings {
  const round = (value: number): number => Math.round(value * 100) / 100;
  const computed = promptIds.length - timings.cachedTokens;
  const decoding = timings.decodeTokensPerSecond === 0 ? 0 : ((ids.length - 1) * 1000) / timings.decodeTokensPerSecond;
  return {
    queued_ms: round(timings.queued),
    cache_n: timings.cachedTokens,
    prompt_n: computed,
    prompt_ms: round(timings.timeToFirstToken),
    prompt_per_second: round(timings.prefillTokensPerSecond),
    predicted_n: ids.length,
    predicted_ms: round(decoding),
    predicted_per_second: round(timings.decodeTokensPerSecond),
  };
}

export const answerId = (prefix: string): string => `${prefix}-${randomUUID().replaceAll("-", "")}`;

export const seconds = (): number => Math.floor(Date.now() / 1000);

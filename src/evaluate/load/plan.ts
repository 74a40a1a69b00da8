/** The requests of a load, made before it starts: the same settings and seed give the same requests at the same times. */
import { uniform } from "../../tensor/random.ts";
import { arrivalTimes } from "./arrivals.ts";
import type { LoadRequest } from "./client.ts";
import { promptMaker, type PromptSource } from "./prompts.ts";
import { hashedTokens, type TraceRow } from "./traces.ts";

export interface LoadPlan {
  readonly requests: number;
  readonly prompts: PromptSource;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Tokens at the beginning that all prompts share. Default 0. */
  readonly sharedTokens?: number;
  /** Requests per second; absent: all may start at once. */
  readonly rate?: number;
  /** Default 1. */
  readonly burstiness?: number;
  /** Times and lengths of a recorded load, in place of `rate`, `promptTokens` and `outputTokens`. */
  readonly trace?: readonly TraceRow[];
  /** Times of the trace are multiplied with this: 0.5 is twice the load. Default 1. */
  readonly traceScale?: number;
  /** Lengths of the trace are multiplied with this. Default 1. */
  readonly lengthScale?: number;
  /** Share of requests whose client goes away, and after how many milliseconds. Default 0 and 500. */
  readonly cancelRate?: number;
  readonly cancelDelay?: number;
  readonly seed: number;
}

export function planLoad(plan: LoadPlan): LoadRequest[] {
  const { rate, burstiness = 1, trace, traceScale = 1, lengthScale = 1, cancelRate = 0, cancelDelay = 500, seed } = plan;
  const count = Math.min(plan.requests, trace?.length ?? Infinity);
  const times = rate === undefined ? undefined : arrivalTimes({ count, rate, burstiness, seed });
  const maker = promptMaker(plan.prompts, { count, seed, shared: plan.sharedTokens ?? 0 });
  const scaled = (tokens: number): number => Math.max(1, Math.round(tokens * lengthScale));
  return Array.from({ length: count }, (_, i) => {
    const row = trace?.[i];
    const at = row === undefined ? times?.[i] : row.at * traceScale;
    return {
      ...(at === undefined ? {} : { at }),
      prompt:
        row === undefined
          ? maker.make(i, plan.promptTokens)
          : maker.make(i, scaled(row.promptTokens), row.hashIds, Math.max(1, Math.round(hashedTokens * lengthScale))),
      outputTokens: row === undefined ? plan.outputTokens : scaled(row.outputTokens),
      ...(uniform(seed + 1, i) < cancelRate ? { cancelAfter: cancelDelay } : {}),
    };
  });
}

/**
 * What a load was like for those who sent it, by the definitions of vLLM's `bench serve`, so that figures may stand beside each other.
 * guidellm counts the first token into its time per token: never compare that with TPOT here.
 */
import type { Outcome } from "./client.ts";
import { type Distribution, distribution } from "./statistics.ts";

/** Most milliseconds that a request may take to be counted as good. */
export interface ServiceLevel {
  readonly ttft?: number;
  readonly tpot?: number;
  readonly e2el?: number;
}

/** Durations in milliseconds, rates per second. */
export interface LoadReport {
  readonly requests: number;
  readonly completed: number;
  readonly cancelled: number;
  readonly failed: number;
  /** How often each error came. */
  readonly errors: Readonly<Record<string, number>>;
  /** Requests that were sent twice, because the server had closed a connection that seemed open. */
  readonly retried: number;
  /** Seconds from the first request's beginning to the last one's end. */
  readonly seconds: number;
  /** Of completed requests. Tokens are the server's count where it gives one, else events. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly countedBy: "server" | "events" | "both";
  readonly requestThroughput: number;
  readonly outputThroughput: number;
  readonly totalThroughput: number;
  /** Pieces of text in the second with the most. */
  readonly peakOutputThroughput: number;
  /** Most requests under way at once. */
  readonly peakConcurrency: number;
  /** Requests a second for which every given limit holds. */
  readonly goodput?: number;
  /** Time to first token: from the request's beginning to the first piece of text. */
  readonly ttft?: Distribution;
  /** Time per output token: (latency - TTFT) / (tokens - 1); only of requests with more than one token. */
  readonly tpot?: Distribution;
  /** Inter-token latency: all gaps between pieces of a text. */
  readonly itl?: Distribution;
  /** End-to-end latency: from the request's beginning to its last event. */
  readonly e2el?: Distribution;
}

interface Timing {
  readonly ttft: number;
  readonly tpot: number | undefined;
  readonly e2el: number;
}

export function reportLoad(outcomes: readonly Outcome[], limits: ServiceLevel = {}): LoadReport {
  const completed = outcomes.filter(({ kind }) => kind === "completed");
  const begin = outcomes.reduce((least, { started }) => Math.min(least, started), Infinity);
  const end = outcomes.reduce((most, { ended }) => Math.max(most, ended), -Infinity);
  const seconds = outcomes.length === 0 ? 0 : (end - begin) / 1000;
  const per = (count: number): number => (seconds > 0 ? count / seconds : 0);
  const sum = (of: (outcome: Outcome) => number): number => completed.reduce((total, outcome) => total + of(outcome), 0);
  const timings = completed.filter(({ pieces }) => pieces.length > 0).map(timing);
  const [promptTokens, outputTokens] = [sum((outcome) => outcome.promptTokens ?? 0), sum(tokensOf)];
  const byServer = completed.filter((outcome) => outcome.outputTokens !== undefined).length;
  const isGood = ({ ttft, tpot = 0, e2el }: Timing): boolean =>
    ttft <= (limits.ttft ?? Infinity) && tpot <= (limits.tpot ?? Infinity) && e2el <= (limits.e2el ?? Infinity);
  const errors: Record<string, number> = {};
  for (const { error } of outcomes) if (error !== undefined) errors[error] = (errors[error] ?? 0) + 1;
  const spread = (name: string, values: readonly number[]): Readonly<Record<string, Distribution>> => {
    const found = distribution(values);
    return found === undefined ? {} : { [name]: found };
  };
  return {
    requests: outcomes.length,
    completed: completed.length,
    cancelled: outcomes.filter(({ kind }) => kind === "cancelled").length,
    failed: outcomes.filter(({ kind }) => kind === "failed").length,
    errors,
    retried: outcomes.filter(({ isRetried }) => isRetried).length,
    seconds,
    promptTokens,
    cachedTokens: sum((outcome) => outcome.cachedTokens ?? 0),
    outputTokens,
    countedBy: byServer === completed.length ? "server" : byServer === 0 ? "events" : "both",
    requestThroughput: per(completed.length),
    outputThroughput: per(outputTokens),
    totalThroughput: per(promptTokens + outputTokens),
    peakOutputThroughput: busiestSecond(completed.flatMap(({ pieces }) => pieces)),
    peakConcurrency: mostAtOnce(outcomes),
    ...(Object.keys(limits).length === 0 ? {} : { goodput: per(timings.filter(isGood).length) }),
    ...spread(
      "ttft",
      timings.map(({ ttft }) => ttft),
    ),
    ...spread(
      "tpot",
      timings.flatMap(({ tpot }) => tpot ?? []),
    ),
    ...spread(
      "itl",
      completed.flatMap(({ pieces }) => pieces.slice(1).map((time, i) => time - pieces[i]!)),
    ),
    ...spread(
      "e2el",
      timings.map(({ e2el }) => e2el),
    ),
  };
}

const tokensOf = ({ outputTokens, pieces }: Outcome): number => outputTokens ?? pieces.length;

function timing(outcome: Outcome): Timing {
  const ttft = outcome.pieces[0]! - outcome.started;
  const e2el = outcome.ended - outcome.started;
  const tokens = tokensOf(outcome);
  return { ttft, e2el, tpot: tokens > 1 ? (e2el - ttft) / (tokens - 1) : undefined };
}

function busiestSecond(times: readonly number[]): number {
  const begin = times.reduce((least, time) => Math.min(least, time), Infinity);
  const counts = new Map<number, number>();
  for (const time of times) {
    const bucket = Math.floor((time - begin) / 1000);
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  }
  return [...counts.values()].reduce((most, count) => Math.max(most, count), 0);
}

function mostAtOnce(outcomes: readonly Outcome[]): number {
  // Ends come before beginnings of the same moment.
  const changes = outcomes
    .flatMap(({ started, ended }) => [[started, 1] as const, [ended, -1] as const])
    .sort(([a, x], [b, y]) => a - b || x - y);
  let [now, most] = [0, 0];
  for (const [, change] of changes) most = Math.max(most, (now += change));
  return most;
}

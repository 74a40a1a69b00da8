/**
 * E2: texts of unequal lengths, eight at a time. Iteration-level batching (Orca, OSDI 2022) gives a place that becomes free to the next
 * text at once; request-level batching waits until the slowest of a batch has ended. Places that wait compute nothing in both, which older
 * systems did not manage: the difference is the least there is.
 */
import { median, pairwiseRatios } from "../measure/statistics.ts";
import { barChart } from "./chart.ts";
import type { Experiment, Setting } from "./experiment.ts";
import type { Model } from "./library.ts";
import { atMost, randomIds, sameIds, type Timed, writeTimed } from "./texts.ts";

interface Way {
  readonly name: string;
  /** Tokens written per second, one number a round. */
  readonly tokensPerSecond: readonly number[];
  /** Seconds until half of the texts were there, and until 99 of 100 were. */
  readonly p50: readonly number[];
  readonly p99: readonly number[];
}

export interface BatchingResult {
  readonly texts: number;
  readonly batch: number;
  readonly tokens: number;
  readonly meanTokens: number;
  readonly ways: readonly [request: Way, iteration: Way];
  readonly ratios: readonly number[];
  readonly sameTokens: boolean;
}

interface Sample {
  readonly tokensPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly texts: readonly Timed[];
}

const prompt = 32;

export const batching: Experiment<BatchingResult> = {
  name: "batching",
  async run(setting) {
    const { library, quick } = setting;
    const [count, batch, meanTokens, most, rounds] = quick ? [9, 4, 6, 24, 1] : [64, 8, 64, 512, 3];
    const lengths = Array.from({ length: count }, (_, i) => geometric(library.uniform(7, i), meanTokens, most));
    await using model = await library.load(setting.model, {
      context: prompt + most,
      sequences: batch,
      cacheTokens: batch * (prompt + most + 32),
      prefixCache: false,
      threads: setting.threads,
      signal: setting.signal,
    });
    const sample = { request: [] as Sample[], iteration: [] as Sample[] };
    await run(
      model,
      setting,
      lengths.slice(0, batch).map(() => 4),
      (work) => atMost(batch, work),
    );
    for (let round = 0; round < rounds; round++) {
      sample.request.push(await run(model, setting, lengths, (work) => inBatches(batch, work)));
      sample.iteration.push(await run(model, setting, lengths, (work) => atMost(Infinity, work)));
      setting.say(
        `batching ${round + 1}/${rounds}: ${[sample.request, sample.iteration].map((list) => list.at(-1)!.tokensPerSecond.toFixed(1)).join(" and ")} tokens/s`,
      );
    }
    const way = (name: string, samples: readonly Sample[]): Way => ({
      name,
      tokensPerSecond: samples.map(({ tokensPerSecond }) => tokensPerSecond),
      p50: samples.map(({ p50 }) => p50),
      p99: samples.map(({ p99 }) => p99),
    });
    const ways = [way("request-level", sample.request), way("iteration-level", sample.iteration)] as const;
    return {
      texts: count,
      batch,
      tokens: lengths.reduce((sum, n) => sum + n, 0),
      meanTokens,
      ways,
      ratios: pairwiseRatios(ways[1].tokensPerSecond, ways[0].tokensPerSecond),
      sameTokens: sample.request.every(({ texts }, i) => sameIds(texts, sample.iteration[i]!.texts)),
    };
  },
  table: ({ texts, batch, tokens, ways, ratios, sameTokens }) =>
    [
      `${texts} texts, ${tokens} tokens in all, at most ${batch} at once; iteration-level is **${median(ratios).toFixed(2)}x** in tokens per second; ${sameTokens ? "the same tokens" : "**different tokens**"} in both.`,
      "",
      "| batching | tokens/s | half of the texts after | 99 % after |",
      "|---|---|---|---|",
      ...ways.map(
        ({ name, tokensPerSecond, p50, p99 }) =>
          `| ${name} | ${median(tokensPerSecond).toFixed(1)} | ${median(p50).toFixed(1)} s | ${median(p99).toFixed(1)} s |`,
      ),
    ].join("\n"),
  plots: ({ ways }) => ({
    "batching.svg": barChart({
      title: "Texts of unequal lengths, eight at a time",
      unit: "tokens/s",
      labels: ways.map(({ name }) => name),
      series: [{ name: "tokens/s", values: ways.map(({ tokensPerSecond }) => median(tokensPerSecond)) }],
    }),
  }),
};

const geometric = (share: number, mean: number, most: number): number =>
  Math.min(most, 1 + Math.floor(Math.log(1 - share) / Math.log(1 - 1 / mean)));

async function run(
  model: Model,
  { library, signal }: Setting,
  lengths: readonly number[],
  together: (work: readonly (() => Promise<Timed>)[]) => Promise<Timed[]>,
): Promise<Sample> {
  const started = performance.now();
  const work = lengths.map(
    (maxTokens, i) => () => writeTimed(model, randomIds(library, prompt, i), { maxTokens, ignoreEnd: true, temperature: 0, signal }),
  );
  const texts = await together(work);
  const ends = texts.map(({ times }) => (times.at(-1)! - started) / 1000).sort((a, b) => a - b);
  return {
    tokensPerSecond: lengths.reduce((sum, n) => sum + n, 0) / ends.at(-1)!,
    p50: ends[Math.floor(ends.length / 2)]!,
    p99: ends[Math.ceil(ends.length * 0.99) - 1]!,
    texts,
  };
}

async function inBatches<T>(batch: number, work: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < work.length; i += batch) results.push(...(await Promise.all(work.slice(i, i + batch).map((one) => one()))));
  return results;
}

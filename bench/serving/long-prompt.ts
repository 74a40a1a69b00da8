/**
 * E3: a long prompt comes while other texts are being written. With chunked prefill (SARATHI, 2023) a step reads only so much of it, so that
 * the others wait less for their next token. One switch: the most rows of a step; and, in its place, a goal for the wait.
 */
import { median } from "../measure/statistics.ts";
import { barChart } from "./chart.ts";
import type { Experiment, Setting } from "./experiment.ts";
import { randomIds, sameIds, type Timed, writeTimed } from "./texts.ts";

interface Budget {
  readonly name: string;
  readonly rows: number;
  /** Milliseconds; endless where only rows count. */
  readonly latencyGoal: number;
}

interface Row {
  readonly budget: string;
  /** Milliseconds, one number a round: the longest wait for a token of a text being written, from the prompt's arrival to its first token. */
  readonly worstGap: readonly number[];
  readonly longFirstToken: readonly number[];
  /** Of all tokens, read and written, until the last text ended. */
  readonly tokensPerSecond: readonly number[];
}

export interface LongPromptResult {
  readonly streams: number;
  readonly prompt: number;
  /** The longest wait with nobody else there. */
  readonly aloneGap: number;
  readonly rows: readonly Row[];
  readonly sameTokens: boolean;
}

interface Sample {
  readonly worstGap: number;
  readonly longFirstToken: number;
  readonly tokensPerSecond: number;
  readonly texts: readonly Timed[];
}

export const longPrompt: Experiment<LongPromptResult> = {
  name: "long-prompt",
  async run(setting) {
    const sizes = setting.quick ? { streams: 2, write: 24, long: 200, rounds: 1 } : { streams: 4, write: 128, long: 1024, rounds: 3 };
    const budgets: readonly Budget[] = [
      { name: "no limit", rows: 2048, latencyGoal: 1e9 },
      ...(setting.quick ? [64] : [512, 128, 64, 32]).map((rows) => ({ name: `${rows} rows`, rows, latencyGoal: 1e9 })),
      { name: "goal of 100 ms", rows: 512, latencyGoal: 100 },
      { name: "goal of 50 ms", rows: 512, latencyGoal: 50 },
    ];
    const samples = budgets.map(() => [] as Sample[]);
    let aloneGap = Infinity;
    for (let round = 0; round < sizes.rounds; round++)
      for (const [i, budget] of budgets.entries()) {
        const { sample, alone } = await measure(setting, budget, sizes);
        samples[i]!.push(sample);
        aloneGap = Math.min(aloneGap, alone);
        setting.say(
          `long prompt ${round + 1}/${sizes.rounds}, ${budget.name}: worst wait ${sample.worstGap.toFixed(0)} ms, its first token after ${sample.longFirstToken.toFixed(0)} ms`,
        );
      }
    const first = samples[0]![0]!.texts;
    return {
      streams: sizes.streams,
      prompt: sizes.long,
      aloneGap,
      rows: budgets.map(({ name }, i) => ({
        budget: name,
        worstGap: samples[i]!.map(({ worstGap }) => worstGap),
        longFirstToken: samples[i]!.map(({ longFirstToken }) => longFirstToken),
        tokensPerSecond: samples[i]!.map(({ tokensPerSecond }) => tokensPerSecond),
      })),
      sameTokens: samples.flat().every(({ texts }) => sameIds(texts, first)),
    };
  },
  table: ({ streams, prompt, aloneGap, rows, sameTokens }) => {
    const base = rows[0]!;
    return [
      `${streams} texts being written, a prompt of ${prompt} tokens amid them. Without it their longest wait is ${aloneGap.toFixed(0)} ms. ${sameTokens ? "All texts are the same tokens under every limit." : "**Texts differ between limits.**"}`,
      "",
      "| a step is limited to | longest wait for a token | first token of the prompt | tokens/s, read and written |",
      "|---|---|---|---|",
      ...rows.map(({ budget, worstGap, longFirstToken, tokensPerSecond }) => {
        const change = (100 * median(tokensPerSecond)) / median(base.tokensPerSecond) - 100;
        return `| ${budget} | ${median(worstGap).toFixed(0)} ms | ${median(longFirstToken).toFixed(0)} ms | ${median(tokensPerSecond).toFixed(0)} (${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(0)} %) |`;
      }),
    ].join("\n");
  },
  plots: ({ rows, prompt }) => ({
    "long-prompt.svg": barChart({
      title: `Texts being written while a prompt of ${prompt} tokens is read`,
      unit: "ms",
      labels: rows.map(({ budget }) => budget),
      series: [
        { name: "longest wait", values: rows.map(({ worstGap }) => median(worstGap)) },
        { name: "prompt's first token", values: rows.map(({ longFirstToken }) => median(longFirstToken)) },
      ],
    }),
  }),
};

interface Sizes {
  readonly streams: number;
  readonly write: number;
  readonly long: number;
}

async function measure(
  setting: Setting,
  budget: Budget,
  { streams, write, long }: Sizes,
): Promise<{ readonly sample: Sample; readonly alone: number }> {
  const { library, signal, threads } = setting;
  const short = 32;
  await using model = await library.load(
    setting.model,
    {
      context: long + 64,
      sequences: streams + 1,
      cacheTokens: long + 64 + (streams + 1) * (short + write + 32),
      prefixCache: false,
      latencyGoal: budget.latencyGoal,
      threads,
      signal,
    },
    { rows: budget.rows },
  );
  const options = { ignoreEnd: true, temperature: 0, signal };
  // Steps of several sizes, so that the engine knows what they take.
  for (const tokens of [1, 16, 64, 256].filter((size) => size <= long))
    await model.generate(randomIds(library, tokens, 99), { ...options, maxTokens: 2 });
  const begun = performance.now();
  let arrived: Promise<Timed> | undefined;
  const prompts = Array.from({ length: streams }, (_, i) => randomIds(library, short, i));
  const texts = await Promise.all(
    prompts.map((prompt, i) =>
      writeTimed(model, prompt, { ...options, maxTokens: write }, (count) => {
        // In the middle of the first text.
        if (i === 0 && count === Math.floor(write / 4))
          arrived = writeTimed(model, randomIds(library, long, 1000), { ...options, maxTokens: 8 });
      }),
    ),
  );
  const guest = await arrived!;
  const [from, to] = [guest.started, guest.times[0]!];
  const gaps = texts.flatMap(({ times }) => times.slice(1).map((time, i) => ({ gap: time - times[i]!, time, before: times[i]! })));
  const during = gaps.filter(({ time, before }) => time > from && before < to).map(({ gap }) => gap);
  const others = gaps.filter(({ time }) => time <= from).map(({ gap }) => gap);
  const end = Math.max(guest.times.at(-1)!, ...texts.map(({ times }) => times.at(-1)!));
  const tokens = streams * (short + write) + long + guest.times.length;
  return {
    sample: {
      worstGap: Math.max(0, ...during),
      longFirstToken: to - from,
      tokensPerSecond: (1000 * tokens) / (end - begun),
      texts: [...texts, guest],
    },
    alone: Math.max(0, ...others),
  };
}

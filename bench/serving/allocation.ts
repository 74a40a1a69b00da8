/**
 * E1: how much of the cache holds nothing, by the way it is given out. No model: texts of given lengths come, are read at once, grow by a
 * token a step, and go; the pool is ours. Reserving policies get their room wherever it is, as if memory had no gaps: in their favour.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { barChart } from "./chart.ts";
import type { Experiment, Setting } from "./experiment.ts";
import type { Library } from "./library.ts";

export interface Text {
  /** The step in which it comes. */
  readonly at: number;
  readonly prompt: number;
  readonly output: number;
}

/** How many tokens' room a text of `now` tokens, that will have `last`, takes from a pool in whole pages of so many tokens. */
interface Policy {
  readonly name: string;
  readonly page: number;
  room(now: number, last: number, longest: number): number;
}

const policies: readonly Policy[] = [
  { name: "reserve the longest", page: 1, room: (_, __, longest) => longest },
  { name: "next power of two", page: 1, room: (_, last, longest) => Math.min(longest, 2 ** Math.ceil(Math.log2(last))) },
  { name: "reserve what it will be", page: 1, room: (_, last) => last },
  { name: "pages of 16", page: 16, room: (now) => now },
  { name: "pages of 32", page: 32, room: (now) => now },
];

export interface Use {
  readonly policy: string;
  /** Tokens there are, of tokens there is room for, over all steps. */
  readonly used: number;
  readonly meanRunning: number;
  readonly steps: number;
  readonly preemptions: number;
}

interface Running {
  readonly text: Text;
  readonly pages: number[];
  written: number;
}

/** `capacity` is in tokens. A text that finds no room for its next token is thrown out and comes again, as in the engine. */
export function simulate(createPages: Library["createPages"], texts: readonly Text[], policy: Policy, capacity: number): Use {
  const longest = texts.reduce((most, { prompt, output }) => Math.max(most, prompt + output), 0);
  const pages = createPages(Math.floor(Math.max(capacity, longest) / policy.page));
  const waiting = texts.toReversed();
  const running: Running[] = [];
  let [usedSum, roomSum, runningSum, steps, preemptions] = [0, 0, 0, 0, 0];
  const grow = ({ text, pages: own, written }: Running): boolean => {
    const now = text.prompt + written;
    const wanted = Math.ceil(policy.room(now, text.prompt + text.output, longest) / policy.page);
    if (wanted - own.length > pages.free()) return false;
    while (own.length < wanted) own.push(pages.take()!);
    return true;
  };
  const leave = (one: Running): void => {
    for (const page of one.pages) pages.giveBack(page);
    running.splice(running.indexOf(one), 1);
  };
  for (let step = 0; waiting.length > 0 || running.length > 0; step++) {
    if (running.length === 0) step = Math.max(step, waiting.at(-1)?.at ?? step);
    for (const one of running.slice()) {
      if (!running.includes(one)) continue;
      one.written++;
      if (one.written > one.text.output) leave(one);
      else
        while (running.includes(one) && !grow(one)) {
          const youngest = running.at(-1)!;
          leave(youngest);
          waiting.push(youngest.text);
          preemptions++;
        }
    }
    while (waiting.length > 0 && waiting.at(-1)!.at <= step) {
      const next: Running = { text: waiting.at(-1)!, pages: [], written: 0 };
      // One page is left for each that runs, as the engine's scheduler does.
      const needed = Math.ceil(policy.room(next.text.prompt, next.text.prompt + next.text.output, longest) / policy.page);
      if (running.length > 0 && needed + (policy.page > 1 ? running.length : 0) > pages.free()) break;
      if (!grow(next)) break;
      waiting.pop();
      running.push(next);
    }
    for (const { text, written, pages: own } of running) {
      usedSum += text.prompt + written;
      roomSum += own.length * policy.page;
    }
    runningSum += running.length;
    if (running.length > 0) steps++;
  }
  return { policy: policy.name, used: usedSum / Math.max(1, roomSum), meanRunning: runningSum / Math.max(1, steps), steps, preemptions };
}

export interface AllocationResult {
  readonly capacity: number;
  readonly traces: readonly {
    readonly name: string;
    readonly texts: number;
    readonly meanPrompt: number;
    readonly meanOutput: number;
    readonly uses: readonly Use[];
  }[];
}

const stepsPerSecond = 20;

/** Lengths as of ShareGPT's conversations, at most 2,048 tokens together; they come at random, four a second. */
function lognormalTexts({ library: { lognormal, arrivalTimes } }: Setting, count: number): Text[] {
  const times = arrivalTimes({ count, rate: 4, burstiness: 1, seed: 1 });
  return times.map((time, i) => {
    const length = (mean: number, seed: number): number => Math.max(1, Math.round(lognormal(mean, 1, seed, i)));
    const prompt = Math.min(1024, length(161, 2));
    return { at: Math.floor((time / 1000) * stepsPerSecond), prompt, output: Math.min(2048 - prompt, length(338, 3)) };
  });
}

function recorded({ library, traces }: Setting, file: string, count: number): Text[] | undefined {
  const path = traces === undefined ? undefined : join(traces, file);
  if (path === undefined || !existsSync(path)) return undefined;
  return library.readTrace(readFileSync(path, "utf8"), file, count).map(({ at, promptTokens, outputTokens }) => ({
    at: Math.floor((at / 1000) * stepsPerSecond),
    prompt: promptTokens,
    output: outputTokens,
  }));
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

export const allocation: Experiment<AllocationResult> = {
  name: "allocation",
  async run(setting) {
    const count = setting.quick ? 100 : 3000;
    const capacity = 32_768;
    const traces = [
      { name: "lognormal, 161 + 338", texts: lognormalTexts(setting, setting.quick ? 100 : 1000) },
      { name: "Azure, conversation", texts: recorded(setting, "AzureLLMInferenceTrace_conv.csv", count) },
      { name: "Azure, code", texts: recorded(setting, "AzureLLMInferenceTrace_code.csv", count) },
    ];
    return {
      capacity,
      traces: traces.flatMap(({ name, texts }) => {
        if (texts === undefined) {
          setting.say(`${name}: there is no such trace here; left out`);
          return [];
        }
        setting.signal.throwIfAborted();
        return {
          name,
          texts: texts.length,
          meanPrompt: mean(texts.map(({ prompt }) => prompt)),
          meanOutput: mean(texts.map(({ output }) => output)),
          uses: policies.map((policy) => simulate(setting.library.createPages, texts, policy, capacity)),
        };
      }),
    };
  },
  table: ({ capacity, traces }) =>
    [
      `A pool of ${capacity.toLocaleString("en")} tokens.`,
      "",
      "| lengths | room is given | holds tokens | wasted | texts at once | thrown out |",
      "|---|---|---|---|---|---|",
      ...traces.flatMap(({ name, texts, uses }) =>
        uses.map(
          ({ policy, used, meanRunning, preemptions }) =>
            `| ${name} (${texts.toLocaleString("en")} texts) | ${policy} | ${(100 * used).toFixed(1)} % | ${(100 * (1 - used)).toFixed(1)} % | ${meanRunning.toFixed(1)} | ${preemptions} |`,
        ),
      ),
    ].join("\n"),
  plots: ({ traces }) => ({
    "allocation.svg": barChart({
      title: "Room in the cache that holds nothing",
      unit: "%",
      labels: traces.map(({ name }) => name),
      series: policies.map(({ name }, i) => ({ name, values: traces.map(({ uses }) => 100 * (1 - uses[i]!.used)) })),
      goal: { name: "goal: 5 %", value: 5 },
    }),
  }),
};

/**
 * What scheduling, choosing tokens and HTTP cost: the time from the beginning of one step that writes eight texts to that of the next, with
 * the engine alone and behind HTTP, with the clients in a process of their own. What is not the model's run is overhead.
 */
import { median } from "../measure/statistics.ts";
import type { Experiment } from "./experiment.ts";
import type { Model, Step } from "./library.ts";
import { randomIds } from "./texts.ts";

interface Steps {
  readonly count: number;
  /** Milliseconds, medians. */
  readonly run: number;
  readonly overhead: number;
  readonly period: number;
}

export interface OverheadResult {
  readonly streams: number;
  readonly alone: Steps;
  readonly http: Steps;
  /** Processors that the clients used. */
  readonly clientCpu: number;
}

export const overhead: Experiment<OverheadResult> = {
  name: "overhead",
  async run(setting) {
    const { library, threads, signal, quick } = setting;
    const [streams, prompt, write, rounds] = quick ? [4, 16, 24, 1] : [8, 32, 128, 3];
    await using model = await library.load(setting.model, {
      context: 2 * prompt + write + 32,
      sequences: streams,
      cacheTokens: streams * (prompt + write + 64),
      prefixCache: false,
      threads,
      signal,
    });
    const prompts = Array.from({ length: streams }, (_, i) => randomIds(library, prompt, i));
    const options = { maxTokens: write, ignoreEnd: true, temperature: 0, signal };
    const alone: Step[] = [];
    const http: Step[] = [];
    let clientCpu = 0;
    const server = await library.serve(model, { port: 0, log: "silent" });
    try {
      await Promise.all(prompts.map((ids) => model.generate(ids, { ...options, maxTokens: 8 })));
      for (let round = 0; round < rounds; round++) {
        alone.push(...(await observed(model, streams, () => Promise.all(prompts.map((ids) => model.generate(ids, options))))));
        const sizes = [
          "--requests",
          streams,
          "--concurrency",
          streams,
          "--prompt-tokens",
          prompt,
          "--output-tokens",
          write,
          "--vocabulary",
          2000,
        ];
        http.push(
          ...(await observed(model, streams, async () => {
            clientCpu = Math.max(clientCpu, await setting.load(server.url, sizes.map(String)));
          })),
        );
      }
    } finally {
      await server.close();
    }
    return { streams, alone: summary(alone), http: summary(http), clientCpu };
  },
  table: ({ streams, alone, http, clientCpu }) => {
    const share = ({ run, period }: Steps): string => `${(100 * (1 - run / period)).toFixed(1)} %`;
    const slower = 100 * (http.period / alone.period - 1);
    return [
      `${streams} texts at once; a step behind HTTP takes ${slower >= 0 ? `${slower.toFixed(1)} % longer` : `${(-slower).toFixed(1)} % less`} than with the engine alone. The clients use ${(100 * clientCpu).toFixed(0)} % of a processor, on this same machine.`,
      "",
      "| | steps | the model's run | between runs | from step to step | not the model |",
      "|---|---|---|---|---|---|",
      ...(
        [
          ["engine alone", alone],
          ["behind HTTP", http],
        ] as const
      ).map(
        ([name, steps]) =>
          `| ${name} | ${steps.count} | ${steps.run.toFixed(2)} ms | ${steps.overhead.toFixed(2)} ms | ${steps.period.toFixed(2)} ms | ${share(steps)} |`,
      ),
    ].join("\n");
  },
};

/** Steps that do nothing but write all texts. */
async function observed(model: Model, streams: number, work: () => Promise<unknown>): Promise<Step[]> {
  const steps: Step[] = [];
  const stop = model.onStep((step) => {
    if (step.rows === streams && step.decodeRows === streams) steps.push(step);
  });
  await work().finally(stop);
  return steps;
}

const summary = (steps: readonly Step[]): Steps => {
  const of = (value: (step: Step) => number): number => (steps.length === 0 ? 0 : median(steps.map(value)));
  return {
    count: steps.length,
    run: of(({ milliseconds }) => milliseconds),
    overhead: of(({ overheadMilliseconds }) => overheadMilliseconds),
    period: of(({ milliseconds, overheadMilliseconds }) => milliseconds + overheadMilliseconds),
  };
};

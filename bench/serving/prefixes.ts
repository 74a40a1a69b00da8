/**
 * E4: texts that begin alike share keys and values (RadixAttention, SGLang, 2023). One switch: the prefix cache on or off, with a pool so
 * small that prefixes are given up. The tokens must be the same.
 */
import { barChart } from "./chart.ts";
import type { Experiment, Setting } from "./experiment.ts";
import type { Model, Written } from "./library.ts";
import { atMost, randomIds, sameIds } from "./texts.ts";

interface Load {
  readonly name: string;
  write(model: Model, setting: Setting, scale: number): Promise<Written[]>;
}

interface Row {
  readonly name: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly secondsOff: number;
  readonly secondsOn: number;
  readonly sameTokens: boolean;
}

export interface PrefixResult {
  readonly cacheTokens: number;
  readonly rows: readonly Row[];
}

const together = 8;
const write = (model: Model, { signal }: Setting, prompt: readonly number[], maxTokens: number): PromiseLike<Written> =>
  model.generate(prompt, { maxTokens, ignoreEnd: true, temperature: 0, signal });

/** `scale` divides lengths, for small models. */
const loads: readonly Load[] = [
  {
    name: "few-shot: 512 shared, 32 own",
    write(model, setting, scale) {
      const shared = randomIds(setting.library, 512 / scale, 1);
      const prompts = Array.from({ length: 32 / scale }, (_, i) => [...shared, ...randomIds(setting.library, 32, 10 + i)]);
      return atMost(
        together,
        prompts.map((prompt) => async () => write(model, setting, prompt, 16)),
      );
    },
  },
  {
    name: "8 chats of 4 turns",
    async write(model, setting, scale) {
      const system = randomIds(setting.library, 64, 2);
      const chats = Array.from({ length: together }, (_, i) => async () => {
        const turns: Written[] = [];
        let tokens: readonly number[] = system;
        for (let turn = 0; turn < 4; turn++) {
          const turnDone = await write(
            model,
            setting,
            [...tokens, ...randomIds(setting.library, 96 / scale, 100 + 10 * i + turn)],
            32 / scale,
          );
          tokens = [...turnDone.promptIds, ...turnDone.ids];
          turns.push(turnDone);
        }
        return turns;
      });
      return (await atMost(together, chats)).flat();
    },
  },
  {
    name: "tree of 3 branches, 3 deep",
    async write(model, setting, scale) {
      const all: Written[] = [];
      let level: (readonly number[])[] = [randomIds(setting.library, 256 / scale, 3)];
      for (let depth = 0; depth < 3; depth++) {
        const prompts = level.flatMap((root, i) =>
          [0, 1, 2].map((branch) => [...root, ...randomIds(setting.library, 16, 1000 * depth + 10 * i + branch)]),
        );
        const written = await atMost(
          together,
          prompts.map((prompt) => async () => write(model, setting, prompt, 32 / scale)),
        );
        all.push(...written);
        level = written.map(({ promptIds, ids }) => [...promptIds, ...ids]);
      }
      return all;
    },
  },
  {
    name: "nothing shared, 544 own",
    write(model, setting, scale) {
      const prompts = Array.from({ length: 32 / scale }, (_, i) => randomIds(setting.library, 544 / scale, 5000 + i));
      return atMost(
        together,
        prompts.map((prompt) => async () => write(model, setting, prompt, 16)),
      );
    },
  },
];

export const prefixes: Experiment<PrefixResult> = {
  name: "prefixes",
  async run(setting) {
    const scale = setting.quick ? 4 : 1;
    const cacheTokens = 6144 / scale;
    const rows: Row[] = [];
    for (const { name, write: writeAll } of loads) {
      const [off, on] = [await measure(false), await measure(true)];
      const row: Row = {
        name,
        promptTokens: on.written.reduce((sum, { promptIds }) => sum + promptIds.length, 0),
        cachedTokens: on.written.reduce((sum, { timings }) => sum + timings.cachedTokens, 0),
        secondsOff: off.seconds,
        secondsOn: on.seconds,
        sameTokens: sameIds(off.written, on.written),
      };
      rows.push(row);
      setting.say(
        `prefixes, ${name}: ${row.cachedTokens} of ${row.promptTokens} cached, ${off.seconds.toFixed(1)} s and ${on.seconds.toFixed(1)} s`,
      );

      async function measure(prefixCache: boolean): Promise<{ readonly written: Written[]; readonly seconds: number }> {
        const { library, threads, signal } = setting;
        await using model = await library.load(setting.model, {
          context: Math.min(1024, cacheTokens),
          sequences: together,
          cacheTokens,
          prefixCache,
          threads,
          signal,
        });
        await write(model, setting, randomIds(library, 64, 77), 2);
        const started = performance.now();
        const written = await writeAll(model, setting, scale);
        return { written, seconds: (performance.now() - started) / 1000 };
      }
    }
    return { cacheTokens, rows };
  },
  table: ({ cacheTokens, rows }) =>
    [
      `A cache of ${cacheTokens.toLocaleString("en")} tokens for all, ${together} texts at once.`,
      "",
      "| load | tokens of prompts | cached | off | on | faster | tokens |",
      "|---|---|---|---|---|---|---|",
      ...rows.map(
        ({ name, promptTokens, cachedTokens, secondsOff, secondsOn, sameTokens }) =>
          `| ${name} | ${promptTokens.toLocaleString("en")} | ${((100 * cachedTokens) / promptTokens).toFixed(0)} % | ${secondsOff.toFixed(1)} s | ${secondsOn.toFixed(1)} s | ${(secondsOff / secondsOn).toFixed(2)}x | ${sameTokens ? "the same" : "**differ**"} |`,
      ),
    ].join("\n"),
  plots: ({ rows }) => ({
    "prefixes.svg": barChart({
      title: "Shared beginnings: the same requests without and with the prefix cache",
      unit: "s",
      labels: rows.map(({ name }) => name),
      series: [
        { name: "off", values: rows.map(({ secondsOff }) => secondsOff) },
        { name: "on", values: rows.map(({ secondsOn }) => secondsOn) },
      ],
    }),
  }),
};

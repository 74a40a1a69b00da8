/** Eight texts at a time, of more and more adapters; the same texts batch by batch; and with a model loaded anew for each adapter. */
import { median, pairwiseRatios, type Summary, summarize } from "../measure/statistics.ts";
import { targets } from "./files.ts";
import type { Library, Model } from "./library.ts";

export interface Setting {
  readonly model: string;
  readonly paths: readonly string[];
  readonly rank: number;
  readonly tokens: number;
  readonly repeat: number;
  readonly threads: number;
  readonly say: (text: string) => void;
}

export interface Way {
  readonly name: string;
  /** Tokens a second of all texts together, after their prompts. */
  readonly tokensPerSecond: Summary;
  /** To eight texts of one adapter, round by round. */
  readonly toOneAdapter: Summary;
  /** By the fastest step of all rounds. */
  readonly fastest?: number;
}

const texts = 8;
const promptOf = (text: number): number[] => Array.from({ length: 32 }, (_, i) => 100 + ((i * 37 + text * 101) % 800));

/** The adapter of each text where there are so many; 0 is none. */
const adaptersOf = (distinct: number): (string | undefined)[] =>
  Array.from({ length: texts }, (_, text) => (distinct === 0 ? undefined : `a${text % distinct}`));

export interface Batches {
  readonly backend: string;
  readonly texts: number;
  readonly ways: readonly Way[];
  readonly lastLoadSeconds: number;
  /** Whether eight texts of eight adapters wrote what each wrote alone. */
  readonly sameTokensAsAlone: boolean;
}

interface Written {
  /** By the median step, and by the fastest, which others on the machine disturb least. */
  readonly tokensPerSecond: number;
  readonly fastest: number;
  readonly ids: readonly string[];
}

/** Steps in which all of the texts write one token. */
async function write(model: Model, names: readonly (string | undefined)[], first: number, tokens: number): Promise<Written> {
  const steps: number[] = [];
  const stop = model.onStep((step) => {
    if (step.rows === names.length && step.decodeRows === names.length) steps.push(step.milliseconds + step.overheadMilliseconds);
  });
  const writing = names.map(async (name, i) => {
    const options = { maxTokens: tokens, ignoreEnd: true, temperature: 0, ...(name === undefined ? {} : { adapter: name }) } as const;
    return (await model.generate(promptOf(first + i), options)).ids.join();
  });
  const ids = await Promise.all(writing);
  stop();
  return { tokensPerSecond: (names.length * 1000) / median(steps), fastest: (names.length * 1000) / Math.min(...steps), ids };
}

export async function measureBatches(
  library: Library,
  { model: source, paths, rank, tokens, repeat, threads, say }: Setting,
): Promise<Batches> {
  const loading = { threads, sequences: texts, context: 256, cacheTokens: texts * 256, prefixCache: false };
  await using model = await library.load(source, { ...loading, adapterSlots: { count: texts, rank, targets } });
  for (let i = 0; i < texts; i++) await model.adapters.load(`a${i}`, paths[i]!);
  const samples = new Map<string, number[]>();
  const add = (name: string, value: number): void => void samples.set(name, [...(samples.get(name) ?? []), value]);
  const fastest = new Map<string, number>();
  let loadSeconds = 0;
  let areSame = true;
  for (let round = -1; round < repeat; round++) {
    const counted = round < 0 ? (): void => undefined : add;
    for (const distinct of [0, 1, 2, 4, 8]) {
      const name = distinct === 0 ? "no adapter" : `${distinct} in one batch`;
      const { tokensPerSecond, fastest: best, ids } = await write(model, adaptersOf(distinct), 0, tokens);
      counted(name, tokensPerSecond);
      fastest.set(name, Math.max(best, fastest.get(name) ?? 0));
      if (distinct !== texts) continue;
      const alone: Written[] = [];
      for (let text = 0; text < texts; text++) alone.push(await write(model, [`a${text}`], text, tokens));
      areSame &&= alone.every((written, text) => written.ids[0] === ids[text]);
      counted("8 in batches of their own", texts / alone.reduce((sum, written) => sum + 1 / written.tokensPerSecond, 0));
    }
    if (round < 0) continue;
    const began = performance.now();
    const other = await library.load(source, { ...loading, adapter: paths[round % paths.length]! });
    loadSeconds = (performance.now() - began) / 1000;
    const { tokensPerSecond } = await write(other, [undefined], 0, tokens);
    await other[Symbol.asyncDispose]();
    add("8 by a model loaded anew for each", tokens / (loadSeconds + tokens / tokensPerSecond));
    say(
      `round ${round + 1} of ${repeat}: ${[...samples].map(([name, values]) => `${name} ${values.at(-1)!.toFixed(1)}`).join(", ")} tokens/s`,
    );
  }
  const one = samples.get("1 in one batch")!;
  const ways = [...samples].map(([name, values]): Way => ({
    name,
    tokensPerSecond: summarize(values),
    toOneAdapter: summarize(pairwiseRatios(values, one)),
  }));
  return { backend: model.backend.description, texts, ways, lastLoadSeconds: loadSeconds, sameTokensAsAlone: areSame };
}

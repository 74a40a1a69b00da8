/** What experiments write and read: prompts of ids without meaning, texts one beside another, and the time of each token. */
import type { Library, Model, WriteOptions, Written } from "./library.ts";

/** Ids that every model has; the lowest are often control tokens. */
export const randomIds = ({ uniform }: Library, count: number, key: number): number[] =>
  Array.from({ length: count }, (_, i) => 300 + Math.floor(uniform(key + 1, i) * 1700));

export interface Timed extends Written {
  readonly started: number;
  /** Of each token, by performance.now(). */
  readonly times: readonly number[];
}

export async function writeTimed(
  model: Model,
  prompt: readonly number[],
  options: WriteOptions,
  onToken?: (count: number) => void,
): Promise<Timed> {
  const started = performance.now();
  const times: number[] = [];
  const generation = model.generate(prompt, options);
  for await (const _ of generation) {
    times.push(performance.now());
    onToken?.(times.length);
  }
  return { ...(await generation), started, times };
}

/** Does all of `work`, at most `most` at a time, in order. */
export async function atMost<T>(most: number, work: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(most, work.length) }, async () => {
      while (next < work.length) {
        const i = next++;
        results[i] = await work[i]!();
      }
    }),
  );
  return results;
}

export const sameIds = (a: readonly Written[], b: readonly Written[]): boolean =>
  a.length === b.length && a.every(({ ids }, i) => ids.length === b[i]!.ids.length && ids.every((id, j) => id === b[i]!.ids[j]));

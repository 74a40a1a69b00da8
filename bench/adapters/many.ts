/** Many adapters in files through a few slots, asked for as Zipf's law says: the k-th is asked for 1/k as often as the first. */
import type { Setting } from "./batches.ts";
import { targets } from "./files.ts";
import type { Library, Model } from "./library.ts";

export interface ManySetting extends Setting {
  readonly adapters: number;
  readonly slots: number;
  readonly requests: number;
}

export interface Many {
  readonly adapters: number;
  readonly files: number;
  readonly slots: number;
  readonly requests: number;
  readonly adaptersAskedFor: number;
  readonly tokensPerSecond: number;
  readonly tokensPerSecondOfOneAdapter: number;
  readonly ratio: number;
  readonly secondsPerLoad: number;
  readonly megabytes: { readonly withModel: number; readonly withAdapters: number; readonly afterwards: number };
}

const sequences = 8;
/** Texts asked for at once. */
const atOnce = 16;

/** The adapter of each request. */
export function popularity(requests: number, adapters: number): number[] {
  const shares = Array.from({ length: adapters }, (_, k) => 1 / (k + 1));
  const total = shares.reduce((sum, share) => sum + share, 0);
  // Every request takes the middle of its part, in an order without pattern: the same in each run.
  return Array.from({ length: requests }, (_, i) => {
    let left = ((((i * 0.618033988749895) % 1) + 0.5 / requests) % 1) * total;
    const found = shares.findIndex((share) => (left -= share) < 0);
    return found < 0 ? adapters - 1 : found;
  });
}

async function writeAll(model: Model, names: readonly string[], tokens: number): Promise<number> {
  const left = names.map((name, i) => ({ name, prompt: Array.from({ length: 32 }, (_, at) => 100 + ((at * 37 + i * 101) % 800)) }));
  const began = performance.now();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let next = left.shift(); next !== undefined; next = left.shift())
        await model.generate(next.prompt, { maxTokens: tokens, ignoreEnd: true, temperature: 0, adapter: next.name });
    }),
  );
  return (names.length * tokens * 1000) / (performance.now() - began);
}

const megabytes = (): number => Math.round(process.memoryUsage.rss() / 1e6);

export async function measureMany(library: Library, setting: ManySetting): Promise<Many> {
  const { model: source, paths, rank, tokens, threads, adapters, slots, requests, say } = setting;
  const loading = { threads, sequences, context: 256, cacheTokens: sequences * 256, prefixCache: false };
  await using model = await library.load(source, { ...loading, adapterSlots: { count: slots, rank, targets } });
  const withModel = megabytes();
  const began = performance.now();
  for (let i = 0; i < adapters; i++) await model.adapters.load(`a${i}`, paths[i % paths.length]!);
  const secondsPerLoad = (performance.now() - began) / 1000 / adapters;
  const withAdapters = megabytes();
  const asked = popularity(requests, adapters);
  await writeAll(
    model,
    Array.from({ length: atOnce }, () => "a0"),
    tokens,
  );
  const one = await writeAll(
    model,
    Array.from({ length: requests }, () => "a0"),
    tokens,
  );
  const zipf = await writeAll(
    model,
    asked.map((adapter) => `a${adapter}`),
    tokens,
  );
  say(`${adapters} adapters through ${slots} slots: ${zipf.toFixed(1)} tokens/s, with one adapter ${one.toFixed(1)}`);
  return {
    adapters,
    files: paths.length,
    slots,
    requests,
    adaptersAskedFor: new Set(asked).size,
    tokensPerSecond: zipf,
    tokensPerSecondOfOneAdapter: one,
    ratio: zipf / one,
    secondsPerLoad,
    megabytes: { withModel, withAdapters, afterwards: megabytes() },
  };
}

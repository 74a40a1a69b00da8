/** E1c: four answers to one prompt, drawn together. Pages of the prompt are held once where beginnings are shared; the tokens are the same. */
import type { Experiment, Setting } from "./experiment.ts";
import { randomIds, sameIds } from "./texts.ts";
import type { Written } from "./library.ts";

interface Use {
  /** Most pages held at once. */
  readonly pages: number;
  readonly seconds: number;
}

export interface SamplesResult {
  readonly samples: number;
  readonly prompt: number;
  readonly write: number;
  readonly alone: Use;
  readonly shared: Use;
  readonly sameTokens: boolean;
}

export const samples: Experiment<SamplesResult> = {
  name: "samples",
  async run(setting) {
    const sizes = setting.quick ? { samples: 4, prompt: 128, write: 8 } : { samples: 4, prompt: 512, write: 64 };
    const [alone, shared] = [await measure(setting, sizes, false), await measure(setting, sizes, true)];
    return { ...sizes, alone: alone.use, shared: shared.use, sameTokens: sameIds(alone.written, shared.written) };
  },
  table: ({ samples: count, prompt, write, alone, shared, sameTokens }) =>
    [
      `${count} answers of ${write} tokens to a prompt of ${prompt}, temperature 1, seeds of their own: ${sameTokens ? "the same tokens" : "**different tokens**"} either way, with ${(100 - (100 * shared.pages) / alone.pages).toFixed(0)} % less memory.`,
      "",
      "| prompt's pages | most pages held | time |",
      "|---|---|---|",
      `| one copy each | ${alone.pages} | ${alone.seconds.toFixed(2)} s |`,
      `| shared | ${shared.pages} | ${shared.seconds.toFixed(2)} s |`,
    ].join("\n"),
};

async function measure(
  { library, model: source, threads, signal }: Setting,
  { samples: count, prompt, write }: { readonly samples: number; readonly prompt: number; readonly write: number },
  prefixCache: boolean,
): Promise<{ readonly use: Use; readonly written: Written[] }> {
  await using model = await library.load(source, {
    context: prompt + write,
    sequences: count,
    cacheTokens: count * (prompt + write + 64),
    prefixCache,
    threads,
    signal,
  });
  let pages = 0;
  const stop = model.onStep(() => {
    const held = Object.values(model.stats().pages).reduce((sum, { total, free }) => sum + total - free, 0);
    pages = Math.max(pages, held);
  });
  const ids = randomIds(library, prompt, 1);
  const started = performance.now();
  const written = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      model.generate(ids, { maxTokens: write, ignoreEnd: true, temperature: 1, seed: i + 1, signal }),
    ),
  );
  stop();
  return { use: { pages, seconds: (performance.now() - started) / 1000 }, written };
}

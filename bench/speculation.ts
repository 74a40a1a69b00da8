/**
 * `npm run bench:speculation`: prompt lookup on texts that repeat their prompt, copied and edited, against the same without speculation,
 * interleaved, one to eight texts at a time. The tokens must be the same.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { passages, type Prompt, promptsOf } from "./speculation/prompts.ts";
import { describeMachine } from "./measure/machine.ts";
import { median, pairwiseRatios, summarize } from "./measure/statistics.ts";

const usage = `npm run bench:speculation -- --model FILE [options]

--text FILE       English prose to copy and edit (default: ../shared/data/text/books/all_books.txt)
--batch 1,2,4,8   texts at a time
--tokens N        written in each (default: 96)
--repeat N        rounds (default: 5)
--threads N       (default: 2)
--temperature X   (default: 0)
--draft MODEL     a draft model in place of prompt lookup
--always          verify every proposal, also where that does not pay
--json FILE       the samples too
`;

interface Stats {
  readonly draftedTokens: number;
  readonly acceptedTokens: number;
}

interface Model extends AsyncDisposable {
  generate(prompt: string, options: object): PromiseLike<{ readonly ids: readonly number[]; readonly text: string }>;
  stats(): Stats;
  readonly backend: { readonly description: string };
}

interface Sample {
  readonly tokensPerSecond: number;
  readonly drafted: number;
  readonly accepted: number;
  readonly ids: readonly (readonly number[])[];
}

// From bench/build/, where this runs.
const root = new URL("../../", import.meta.url);
const path = (place: string): string => fileURLToPath(new URL(place, root));
const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Writes all prompts, `batch` at a time. Their keys and values are cached after the first time, so that what is timed is writing. */
async function write(model: Model, prompts: readonly Prompt[], batch: number, options: object): Promise<Sample> {
  const before = model.stats();
  const ids: (readonly number[])[] = [];
  const started = performance.now();
  for (let i = 0; i < prompts.length; i += batch) {
    const together = prompts.slice(i, i + batch).map(({ text }) => model.generate(text, options));
    ids.push(...(await Promise.all(together)).map((result) => result.ids));
  }
  const seconds = (performance.now() - started) / 1000;
  const after = model.stats();
  return {
    tokensPerSecond: ids.reduce((sum, own) => sum + own.length, 0) / seconds,
    drafted: after.draftedTokens - before.draftedTokens,
    accepted: after.acceptedTokens - before.acceptedTokens,
    ids,
  };
}

interface Row {
  readonly kind: string;
  readonly batch: number;
  readonly off: number[];
  readonly on: number[];
  drafted: number;
  accepted: number;
  differing: number;
}

async function main(): Promise<void> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      model: text,
      text,
      batch: text,
      tokens: text,
      repeat: text,
      threads: text,
      temperature: text,
      draft: text,
      json: text,
      always: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true || values.model === undefined) {
    process.exitCode = values.help === true ? 0 : 2;
    return void process.stdout.write(usage);
  }
  const numbers = (list: string): number[] => list.split(",").map(Number);
  const [repeat, threads, maxTokens] = [Number(values.repeat ?? 5), Number(values.threads ?? 2), Number(values.tokens ?? 96)];
  const file = values.text ?? path("../shared/data/text/books/all_books.txt");
  if (!existsSync(file)) throw new Error(`${file}: there is no such file; give one with --text`);
  const prompts = promptsOf(passages(readFileSync(file, "utf8").slice(0, 400_000)));
  const batches = numbers(values.batch ?? "1,2,4,8");
  const { load } = (await import(new URL("dist/index.js", root).href)) as { load(source: string, options: object): Promise<Model> };
  const draft = values.draft === undefined ? {} : { draft: values.draft };
  await using model = await load(values.model, { threads, sequences: Math.max(...batches), context: 2048, cacheTokens: 16384, ...draft });
  const { processor, node } = describeMachine();
  process.stdout.write(`${values.model.split(/[\\/]/).at(-1)}; ${processor}; ${model.backend.description}; Node ${node}\n\n`);
  const options = { maxTokens, ignoreEnd: true, temperature: Number(values.temperature ?? 0), seed: 7 };
  const rows: Row[] = [];
  for (const kind of ["copy", "edit"] as const)
    for (const batch of batches) {
      const own = prompts.filter((prompt) => prompt.kind === kind);
      const row: Row = { kind, batch, off: [], on: [], drafted: 0, accepted: 0, differing: 0 };
      for (let round = -1; round < repeat; round++) {
        const off = await write(model, own, batch, { ...options, speculation: "off" });
        const on = await write(model, own, batch, { ...options, speculation: values.always === true ? "always" : "auto" });
        if (round < 0) continue;
        row.off.push(off.tokensPerSecond);
        row.on.push(on.tokensPerSecond);
        row.drafted += on.drafted;
        row.accepted += on.accepted;
        row.differing += on.ids.filter((ids, i) => ids.join() !== off.ids[i]!.join()).length;
      }
      rows.push(row);
      const ratio = summarize(pairwiseRatios(row.on, row.off));
      const share = row.drafted === 0 ? "none" : `${((100 * row.accepted) / row.drafted).toFixed(0)} % of ${row.drafted}`;
      process.stdout.write(
        `${kind}, ${batch} at a time: ${median(row.off).toFixed(1)} tokens/s without, ${median(row.on).toFixed(1)} with: ${ratio.median.toFixed(2)}x ` +
          `(${ratio.least.toFixed(2)}x to ${ratio.most.toFixed(2)}x); accepted ${share}; ${row.differing === 0 ? "the same tokens" : `${row.differing} TEXTS DIFFER`}\n`,
      );
    }
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ processor, node, threads, options, rows }, undefined, 2)}\n`);
  if (rows.some(({ differing }) => differing > 0)) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  process.exitCode = 1;
  say(`bench: ${(error as Error).message}`);
}

/**
 * `npm run bench:deferred-head`: one text written with the output head put off, beside our own decoding with the whole head: the same model
 * loaded twice, both ways in turn, every id compared.
 */
import { parseArgs } from "node:util";

const usage = `npm run bench:deferred-head -- MODEL [options]

--threads N    (default: 2)
--rounds N     texts by each way (default: 7)
--tokens N     of each text (default: 256)
--mode M       auto or always (default: auto)
--equality N   then compare N greedy tokens more (default: 0)
`;

interface Result {
  readonly ids: readonly number[];
  readonly timings: { readonly decodeTokensPerSecond: number };
}
interface Model extends AsyncDisposable {
  generate(prompt: string, options: object): PromiseLike<Result>;
  stats(): { readonly guessedTokens: number; readonly confirmedTokens: number };
  inspect(): { readonly memory?: { readonly weights: number; readonly arena: number } };
}

const subjects = "a river|steam engines|the moon|bread|a war|music|glaciers|the heart|money|islands".split("|");
const prompts = subjects.flatMap((subject) => [
  `The history of ${subject} began`,
  `Once upon a time there was ${subject} and`,
  `How ${subject} works:`,
]);

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
const spread = (numbers: readonly number[]): string =>
  `${median(numbers).toFixed(2)} (${Math.min(...numbers).toFixed(2)} to ${Math.max(...numbers).toFixed(2)})`;

const text = { type: "string" } as const;
const { values, positionals } = parseArgs({
  options: { threads: text, rounds: text, tokens: text, mode: text, equality: text, help: { type: "boolean" } },
  allowPositionals: true,
});
const [path] = positionals;
if (path === undefined || values.help === true) {
  process.stderr.write(usage);
  process.exit(values.help === true ? 0 : 2);
}
const { threads = "2", rounds = "7", tokens = "256", mode = "auto", equality = "0" } = values;

const { load } = (await import(new URL("../../dist/index.js", import.meta.url).href)) as {
  load(source: string, options: object): Promise<Model>;
};
const settings = { threads: Number(threads), backend: "native", sequences: 1, context: 2048 };
await using whole = await load(path, { ...settings, deferredHead: "off" });
await using deferred = await load(path, { ...settings, deferredHead: mode });

let compared = 0;
/** Tokens a second by each way, in turn; throws where ids differ. */
async function both(prompt: string, options: object): Promise<readonly [whole: number, deferred: number]> {
  const ways = compared % 2 === 0 ? [whole, deferred] : [deferred, whole];
  const results = new Map<Model, Result>();
  for (const way of ways) results.set(way, await way.generate(prompt, { ignoreEnd: true, speculation: "off", ...options }));
  const [a, b] = [results.get(whole)!, results.get(deferred)!];
  const at = a.ids.findIndex((id, i) => id !== b.ids[i]);
  if (at >= 0 || a.ids.length !== b.ids.length)
    throw new Error(`token ${at} after ${JSON.stringify(prompt)} differs: the head put off is not exact`);
  compared += a.ids.length;
  return [a.timings.decodeTokensPerSecond, b.timings.decodeTokensPerSecond];
}

/** One way of choosing tokens: speeds, their ratio round by round, and how many guesses were right. */
async function measure(name: string, options: object): Promise<void> {
  await both(prompts[0]!, { maxTokens: 32, seed: 0, ...options });
  const before = deferred.stats();
  const speeds: (readonly [number, number])[] = [];
  for (let i = 0; i < Number(rounds); i++)
    speeds.push(await both(prompts[i % prompts.length]!, { maxTokens: Number(tokens), seed: i, ...options }));
  const after = deferred.stats();
  const guessed = after.guessedTokens - before.guessedTokens;
  const share = (after.confirmedTokens - before.confirmedTokens) / Math.max(1, guessed);
  const line = [
    `${name}: whole ${spread(speeds.map(([a]) => a))} tokens/s`,
    `deferred ${spread(speeds.map(([, b]) => b))}`,
    `ratio ${spread(speeds.map(([a, b]) => b / a))}`,
    `${guessed} guesses, ${(100 * share).toFixed(1)} % confirmed`,
  ];
  process.stdout.write(`${line.join("; ")}\n`);
}

const bytes = [whole, deferred].map((model) => model.inspect().memory!.weights);
process.stdout.write(`weights: ${bytes[0]} bytes, with the coarse copy ${bytes[1]}\n`);
await measure("likeliest", {});
await measure("temperature 0.7, top-p 0.95", { temperature: 0.7, topP: 0.95 });
await measure("temperature 1", { temperature: 1 });
const from = compared;
for (let i = 0; compared - from < Number(equality); i++)
  await both(`${prompts[i % prompts.length]} (${Math.floor(i / prompts.length) + 1})`, {
    maxTokens: Math.min(1000, Number(equality) - (compared - from)),
  });
process.stdout.write(`${compared} tokens compared: all the same\n`);

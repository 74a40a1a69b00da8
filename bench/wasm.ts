/**
 * `npm run bench:wasm`: the WebAssembly backend in Node beside the native one with one instruction set: reading a prompt and writing, in turn, on the
 * same file with the same threads.
 */
import { parseArgs } from "node:util";
import { median } from "./measure/statistics.ts";

const usage = `npm run bench:wasm -- MODEL [options]

--set NAME     the native instruction set (default: avx2)
--simd NAME    relaxed or baseline (default: relaxed)
--threads N    (default: 2)
--rounds N     (default: 7)
--prompt N     tokens of the prompt (default: 507)
--tokens N     tokens written (default: 64)
`;

interface Result {
  readonly ids: readonly number[];
  readonly timings: { readonly decodeTokensPerSecond: number; readonly prefillTokensPerSecond: number };
}
interface Model extends AsyncDisposable {
  readonly backend: { readonly description: string };
  generate(prompt: string | readonly number[], options: object): PromiseLike<Result>;
}
type Made = { readonly backend: object } | { readonly reason: string };

const text = { type: "string" } as const;
const { values, positionals } = parseArgs({
  options: { set: text, simd: text, threads: text, rounds: text, prompt: text, tokens: text, help: { type: "boolean" } },
  allowPositionals: true,
});
const [path] = positionals;
if (path === undefined || values.help === true) {
  process.stderr.write(usage);
  process.exit(values.help === true ? 0 : 2);
}
const { set = "avx2", simd = "relaxed", threads = "2", rounds = "7", prompt = "507", tokens = "64" } = values;

const from = <T>(module: string): Promise<T> => import(new URL(`../../dist/${module}`, import.meta.url).href) as Promise<T>;
const { load } = await from<{ load(source: string, options: object): Promise<Model> }>("index.js");
const { createWasmBackend } = await from<{ createWasmBackend(options: object): Promise<Made> }>("backends/wasm/backend.js");
const { createNativeBackend } = await from<{ createNativeBackend(options: object): Made }>("backends/native/backend.js");

async function open(made: Made): Promise<Model> {
  if ("reason" in made) throw new Error(made.reason);
  // The plain speed of each: no proposals, the whole head, nothing kept of earlier prompts.
  return load(path!, { backend: made.backend, context: 1024, deferredHead: "off", speculation: "off", prefixCache: false });
}

await using wasm = await open(await createWasmBackend({ threads: Number(threads), simd }));
await using native = await open(createNativeBackend({ threads: Number(threads), instructionSet: set }));

interface Speeds {
  readonly prefill: number;
  readonly decode: number;
}
async function speeds(model: Model): Promise<Speeds> {
  const ids = Array.from({ length: Number(prompt) }, (_, i) => (i === 0 ? 2 : 1000 + ((i * 7919) % 20000)));
  const read = await model.generate(ids, { maxTokens: 1, ignoreEnd: true, temperature: 0 });
  const written = await model.generate("Once upon a time there was", { maxTokens: Number(tokens), ignoreEnd: true, temperature: 0 });
  return { prefill: read.timings.prefillTokensPerSecond, decode: written.timings.decodeTokensPerSecond };
}

// Engines compile what is hot a second time.
for (const model of [wasm, native]) await speeds(model);
const samples: (readonly [wasm: Speeds, native: Speeds])[] = [];
for (let round = 0; round < Number(rounds); round++) {
  const first = round % 2 === 0 ? await speeds(wasm) : undefined;
  const other = await speeds(native);
  samples.push([first ?? (await speeds(wasm)), other]);
}

const spread = (numbers: readonly number[], digits: number): string =>
  `${median(numbers).toFixed(digits)} (${Math.min(...numbers).toFixed(digits)} to ${Math.max(...numbers).toFixed(digits)})`;
process.stdout.write(`${wasm.backend.description}\n${native.backend.description}\n`);
for (const [name, goal] of [["prefill", 0.35] as const, ["decode", 0.55] as const]) {
  const [ours, theirs] = [samples.map(([a]) => a[name]), samples.map(([, b]) => b[name])];
  const ratios = ours.map((speed, i) => speed / theirs[i]!);
  const reached = median(ratios) >= goal ? "reached" : "missed";
  process.stdout.write(
    `${name}: ${spread(ours, 0)} beside ${spread(theirs, 0)} tokens/s; by rounds ${spread(ratios, 2)}x, goal ${goal}x: ${reached}\n`,
  );
}

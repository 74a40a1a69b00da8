/**
 * One measurement of node-llama-cpp in a process of its own: `node node-llama-cpp.js PACKAGE_FOLDER MODEL THREADS TASK ...`, where TASK is
 * `decode TOKENS`, `prefill TOKENS`, `together TEXTS TOKENS` or `first PROMPT CONTEXT`. Prints `{"tokensPerSecond": x}`, `first` the token's text.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** What is used of its interface. */
interface Sequence {
  evaluate(tokens: readonly number[], options: { readonly temperature: number; readonly yieldEogToken: boolean }): AsyncGenerator<number>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  clearHistory(): Promise<void>;
}
interface Context {
  getSequence(): Sequence;
}
interface Model {
  readonly tokens: { readonly bos: number | null; readonly shouldPrependBosToken: boolean };
  createContext(options: Readonly<Record<string, number>>): Promise<Context>;
  tokenize(text: string): number[];
  detokenize(tokens: readonly number[]): string;
}
interface Package {
  getLlama(options: Readonly<Record<string, unknown>>): Promise<{ loadModel(options: { readonly modelPath: string }): Promise<Model> }>;
  readonly LlamaLogLevel: { readonly error: string };
}

const [folder, modelPath, threadsText, task, ...rest] = process.argv.slice(2) as [string, string, string, string, ...string[]];
const threads = Number(threadsText);
const { getLlama, LlamaLogLevel } = (await import(pathToFileURL(join(folder, "dist/index.js")).href)) as Package;
const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath });

const greedy = { temperature: 0, yieldEogToken: true };
const createContext = (contextSize: number, sequences = 1): Promise<Context> =>
  model.createContext({ contextSize, sequences, batchSize: 512, threads });
/** Any ids do: only how many there are takes time. */
const ids = (count: number, salt: number): number[] =>
  Array.from({ length: count }, (_, i) => 1000 + ((i * 7919 + salt * 104_729) % 20_000));
const perSecond = (tokens: number, milliseconds: number): number => (tokens * 1000) / milliseconds;

/** When each of `count` tokens after the prompt came. */
async function write(sequence: Sequence, prompt: readonly number[], count: number): Promise<number[]> {
  const times: number[] = [];
  for await (const _ of sequence.evaluate(prompt, greedy)) {
    times.push(performance.now());
    if (times.length === count) break;
  }
  return times;
}

async function decode(tokens: number): Promise<number> {
  const sequence = (await createContext(tokens + 64)).getSequence();
  await write(sequence, ids(1, 0), 16);
  await sequence.clearHistory();
  const started = performance.now();
  const times = await write(sequence, ids(1, 1), tokens);
  return perSecond(tokens, times.at(-1)! - started);
}

async function prefill(tokens: number): Promise<number> {
  const sequence = (await createContext(tokens + 64)).getSequence();
  await sequence.evaluateWithoutGeneratingNewTokens(ids(tokens, 0));
  await sequence.clearHistory();
  const started = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(ids(tokens, 1));
  return perSecond(tokens, performance.now() - started);
}

/** While all texts are being written: from the last one's first token to the first one's last. */
async function together(texts: number, tokens: number): Promise<number> {
  const context = await createContext(128 + tokens + 64, texts);
  const sequences = Array.from({ length: texts }, () => context.getSequence());
  const times = await Promise.all(sequences.map((sequence, i) => write(sequence, ids(128, i), tokens + 1)));
  const from = Math.max(...times.map((own) => own[0]!));
  const to = Math.min(...times.map((own) => own.at(-1)!));
  return perSecond(times.flat().filter((time) => time > from && time <= to).length, to - from);
}

async function first(prompt: string, context: number): Promise<string> {
  const sequence = (await createContext(context)).getSequence();
  const { bos, shouldPrependBosToken } = model.tokens;
  const tokens = [...(shouldPrependBosToken && bos !== null ? [bos] : []), ...model.tokenize(prompt)];
  for await (const token of sequence.evaluate(tokens, greedy)) return model.detokenize([token]);
  return "";
}

const speeds: Readonly<Record<string, () => Promise<number>>> = {
  decode: () => decode(Number(rest[0])),
  prefill: () => prefill(Number(rest[0])),
  together: () => together(Number(rest[0]), Number(rest[1])),
};
if (task === "first") writeSync(1, `${await first(rest[0]!, Number(rest[1]))}\n`);
else if (speeds[task] !== undefined) writeSync(1, `${JSON.stringify({ tokensPerSecond: await speeds[task]() })}\n`);
else throw new RangeError(`node-llama-cpp: no task ${JSON.stringify(task)}; there are first, ${Object.keys(speeds).join(", ")}`);
// It keeps threads that would keep the process.
process.exit(0);

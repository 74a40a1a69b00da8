/** Frugal, by its command line: every sample is a process as a user would start it. */
import { fileURLToPath } from "node:url";
import type { Setting } from "../claim.ts";
import { type ChildOptions, type Finished, runChild } from "../measure/child.ts";
import type { Inspection } from "../measure/model-facts.ts";

// From bench/build/contestants/, where this runs.
const program = fileURLToPath(new URL("../../../bin/frugal", import.meta.url));

export const runFrugal = (args: readonly string[], options: ChildOptions): Promise<Finished> =>
  runChild(process.execPath, [program, ...args], options);

const json = async (args: readonly string[], signal: AbortSignal): Promise<unknown> =>
  JSON.parse((await runFrugal([...args, "--json"], { signal })).stdout);

export const inspect = async (model: string, signal: AbortSignal): Promise<Inspection> =>
  (await json(["inspect", model], signal)) as Inspection;

interface BenchReport {
  readonly prefill?: { readonly median: number };
  readonly decode?: { readonly median: number };
  readonly batch: readonly { readonly tokens_per_second: number }[];
}

/** One measurement after one that warms up; 0 leaves a part out. Tokens per second. */
async function bench(
  { model, threads, signal }: Setting,
  parts: { readonly prompt: number; readonly generate: number; readonly batch: number },
): Promise<BenchReport> {
  const sizes = Object.entries(parts).flatMap(([name, size]) => [`--${name}`, String(size)]);
  return (await json(["bench", model, ...sizes, "--repeat", "1", "--threads", String(threads)], signal)) as BenchReport;
}

export const decodeSpeed = async (setting: Setting, tokens: number): Promise<number> =>
  (await bench(setting, { prompt: 0, generate: tokens, batch: 0 })).decode!.median;

export const prefillSpeed = async (setting: Setting, tokens: number): Promise<number> =>
  (await bench(setting, { prompt: tokens, generate: 0, batch: 0 })).prefill!.median;

/** Of all texts together, each after a prompt of 128 tokens. */
export const togetherSpeed = async (setting: Setting, texts: number, tokens: number): Promise<number> =>
  (await bench(setting, { prompt: 0, generate: tokens, batch: texts })).batch[0]!.tokens_per_second;

/** A process that writes one token. */
export const writeOne = (
  { model, threads, signal }: Setting,
  prompt: string,
  options: { readonly context?: number; readonly measuresMemory?: boolean } = {},
): Promise<Finished> => {
  const { context, measuresMemory = false } = options;
  const size = context === undefined ? [] : ["--context", String(context)];
  return runFrugal(["run", model, prompt, "--max-tokens", "1", "--threads", String(threads), ...size], { signal, measuresMemory });
};

export async function perplexity({ model, threads, text, chunks, signal }: Setting, context: number): Promise<number> {
  const some = chunks === undefined ? [] : ["--chunks", String(chunks)];
  const args = ["perplexity", model, text!, "--context", String(context), "--threads", String(threads), ...some];
  return ((await json(args, signal)) as { readonly perplexity: number }).perplexity;
}

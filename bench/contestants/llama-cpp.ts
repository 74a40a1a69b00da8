/** llama.cpp, by its own tools, each with the settings that are fastest for it: flash attention on, batches of 512. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Setting } from "../claim.ts";
import { type Finished, runChild } from "../measure/child.ts";

/** Those that the claims need. */
export const tools = ["llama-bench", "llama-batched-bench", "llama-completion", "llama-perplexity"] as const;
type Tool = (typeof tools)[number] | "llama-quantize";

export const hasTool = (folder: string, tool: Tool): boolean => existsSync(join(folder, tool));

/** As its tools report it, or undefined. */
export async function version(folder: string, signal: AbortSignal): Promise<string | undefined> {
  const tool = hasTool(folder, "llama-completion") ? "llama-completion" : "llama-batched-bench";
  try {
    const { stdout, stderr } = await runChild(join(folder, tool), ["--version"], { signal });
    return /version: (.+)/.exec(stdout + stderr)?.[1];
  } catch {
    return undefined;
  }
}

const run = (
  tool: Tool,
  { llamaCpp, model, threads, signal }: Setting,
  args: readonly string[],
  measuresMemory = false,
): Promise<Finished> => {
  if (!hasTool(llamaCpp!, tool)) throw new Error(`${tool}: not in ${llamaCpp}; build it there`);
  return runChild(join(llamaCpp!, tool), ["-m", model, "-t", String(threads), "-ngl", "0", ...args], { signal, measuresMemory });
};

/** What llama-bench or llama-batched-bench prints as JSON lines: the number under `key` in the last one. */
export function lastNumber(output: string, key: string): number {
  const line = output.trimEnd().split("\n").at(-1)!;
  const value = line.startsWith("{") ? (JSON.parse(line) as Readonly<Record<string, unknown>>)[key] : undefined;
  if (typeof value === "number" && value > 0) return value;
  throw new Error(`llama.cpp: no ${key} in ${JSON.stringify(line.slice(0, 200))}`);
}

/** What llama-perplexity says at its end, on whichever stream its logs go to. */
export function finalPerplexity(output: string): number {
  const found = /Final estimate: PPL = ([\d.]+)/.exec(output)?.[1];
  if (found === undefined) throw new Error("llama-perplexity: no final estimate in what it said");
  return Number(found);
}

const bench = async (setting: Setting, prompt: number, generate: number): Promise<number> => {
  const { stdout } = await run("llama-bench", setting, [
    "-fa",
    "1",
    "-p",
    String(prompt),
    "-n",
    String(generate),
    "-r",
    "1",
    "-o",
    "jsonl",
  ]);
  return lastNumber(stdout, "avg_ts");
};
export const decodeSpeed = (setting: Setting, tokens: number): Promise<number> => bench(setting, 0, tokens);
export const prefillSpeed = (setting: Setting, tokens: number): Promise<number> => bench(setting, tokens, 0);

export async function togetherSpeed(setting: Setting, texts: number, tokens: number): Promise<number> {
  const context = Math.max(2048, texts * 1024);
  const sizes = ["-c", String(context), "-b", "2048", "-ub", "512", "-npp", "128", "-ntg", String(tokens), "-npl", String(texts)];
  const form = ["-tb", String(setting.threads), "-fa", "on", "--output-format", "jsonl"];
  const { stdout } = await run("llama-batched-bench", setting, [...sizes, ...form]);
  return lastNumber(stdout, "speed_tg");
}

/** A process that writes one token. `fits` leaves on its search for settings that fit into memory, which is its default. */
export const writeOne = (
  setting: Setting,
  prompt: string,
  options: { readonly fits?: boolean; readonly context?: number; readonly measuresMemory?: boolean } = {},
): Promise<Finished> => {
  const { fits = false, context, measuresMemory = false } = options;
  const more = [...(fits ? [] : ["-fit", "off"]), ...(context === undefined ? [] : ["-c", String(context)])];
  return run("llama-completion", setting, ["-p", prompt, "-n", "1", "-no-cnv", "--temp", "0", ...more], measuresMemory);
};

export async function perplexity(setting: Setting, context: number): Promise<number> {
  const some = setting.chunks === undefined ? [] : ["--chunks", String(setting.chunks)];
  const args = ["-f", setting.text!, "-c", String(context), "-b", String(context), "-fa", "on", ...some];
  const { stdout, stderr } = await run("llama-perplexity", setting, args);
  return finalPerplexity(stdout + stderr);
}

/** Writes `model` to `target` with its matrices in `format`. */
export async function requantize(folder: string, model: string, target: string, format: string, signal: AbortSignal): Promise<void> {
  await runChild(join(folder, "llama-quantize"), ["--allow-requantize", model, target, format], { signal });
}

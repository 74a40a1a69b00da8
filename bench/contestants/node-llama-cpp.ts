/** node-llama-cpp: installed when it is asked for, outside the project, and driven by a process of ours (bench/node-llama-cpp.ts). */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Setting } from "../claim.ts";
import { type Finished, runChild } from "../measure/child.ts";

export const version = "3.22.1";

/** Its prebuilt core for this machine is a package of its own; those for graphics cards are left out, as they take a gigabyte. */
const cores: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-x64": "mac-x64",
  "darwin-arm64": "mac-arm64-metal",
};

/** The folder it is in, under `cache`; installs it there once. Rejects where npm can't. */
export async function install(cache: string, signal: AbortSignal, say: (text: string) => void): Promise<string> {
  const folder = join(cache, `node-llama-cpp-${version}`);
  const installed = join(folder, "node_modules/node-llama-cpp");
  if (existsSync(installed)) return installed;
  const core = cores[`${process.platform}-${process.arch}`];
  if (core === undefined) throw new Error(`node-llama-cpp: no prebuilt core for ${process.platform} on ${process.arch}`);
  say(`installing node-llama-cpp ${version} into ${folder}`);
  const part = `${folder}.part-${process.pid}`;
  mkdirSync(part, { recursive: true });
  try {
    const packages = [`node-llama-cpp@${version}`, `@node-llama-cpp/${core}@${version}`];
    const quiet = ["--no-save", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"];
    await runChild("npm", ["install", "--prefix", part, ...quiet, ...packages], { signal });
    if (!existsSync(installed)) renameSync(part, folder);
  } finally {
    rmSync(part, { recursive: true, force: true });
  }
  return installed;
}

const program = fileURLToPath(new URL("../node-llama-cpp.js", import.meta.url));

function run(
  { nodeLlamaCpp, model, threads, signal }: Setting,
  task: readonly (string | number)[],
  measuresMemory = false,
): Promise<Finished> {
  return runChild(process.execPath, [program, nodeLlamaCpp!, model, String(threads), ...task.map(String)], { signal, measuresMemory });
}
const speed = async (setting: Setting, ...task: readonly (string | number)[]): Promise<number> =>
  (JSON.parse((await run(setting, task)).stdout) as { readonly tokensPerSecond: number }).tokensPerSecond;

export const decodeSpeed = (setting: Setting, tokens: number): Promise<number> => speed(setting, "decode", tokens);
export const prefillSpeed = (setting: Setting, tokens: number): Promise<number> => speed(setting, "prefill", tokens);
export const togetherSpeed = (setting: Setting, texts: number, tokens: number): Promise<number> =>
  speed(setting, "together", texts, tokens);

/** A process that writes one token. */
export const writeOne = (
  setting: Setting,
  prompt: string,
  { context, measuresMemory = false }: { readonly context: number; readonly measuresMemory?: boolean },
): Promise<Finished> => run(setting, ["first", prompt, context], measuresMemory);

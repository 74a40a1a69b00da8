/** The same model in another format: a file that was given, or one made once and kept in the cache. */
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { hasTool, requantize } from "../contestants/llama-cpp.ts";
import { runChild } from "./child.ts";

export interface VariantOptions {
  readonly cache: string;
  /** By format. */
  readonly given: ReadonlyMap<string, string>;
  readonly llamaCpp?: string;
  readonly signal: AbortSignal;
  say(text: string): void;
}

/** Seen from bench/build/measure. */
const frugal = fileURLToPath(new URL("../../../bin/frugal", import.meta.url));

/** Made by llama-quantize where it is, so that the file is the peer's own; else by our writer. */
export async function fileInFormat(model: string, format: string, options: VariantOptions): Promise<string> {
  const { cache, given, llamaCpp, signal, say } = options;
  const known = given.get(format);
  if (known !== undefined) return known;
  const { size, mtimeMs } = statSync(model);
  const maker = llamaCpp !== undefined && hasTool(llamaCpp, "llama-quantize") ? "llama.cpp" : "frugal";
  const name = `${basename(model, ".gguf")}-${size}-${Math.floor(mtimeMs)}-${format}-${maker}.gguf`;
  const target = join(cache, name);
  if (existsSync(target)) return target;
  say(`writing ${target}`);
  mkdirSync(cache, { recursive: true });
  const part = `${target}.part-${process.pid}.gguf`;
  try {
    if (maker === "llama.cpp") await requantize(llamaCpp!, model, part, format, signal);
    else await runChild(process.execPath, [frugal, "quantize", model, part, "--format", format], { signal });
    renameSync(part, target);
  } finally {
    rmSync(part, { force: true });
  }
  return target;
}

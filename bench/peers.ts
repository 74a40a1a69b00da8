/** `npm run bench:peers`: Frugal beside its peers on the same file, side by side in one run. docs/benchmarks.md says what each number means. */
import { createReadStream, existsSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Arguments, parseArguments, usage, WrongUsage } from "./arguments.ts";
import type { Claim, Entrant, Setting } from "./claim.ts";
import { claims } from "./claims/index.ts";
import { inspect } from "./contestants/frugal.ts";
import * as llamaCpp from "./contestants/llama-cpp.ts";
import * as nodeLlamaCpp from "./contestants/node-llama-cpp.ts";
import { interleave } from "./measure/interleave.ts";
import { calibrate, describeMachine, processorTime } from "./measure/machine.ts";
import { modelFacts, type ModelFacts } from "./measure/model-facts.ts";
import { fileInFormat } from "./measure/variants.ts";
import { figure, printResult } from "./report.ts";
import { type ClaimResult, judge, skippedResult } from "./result.ts";

const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Once through the file, so that whoever comes first does not read it from the disk. */
async function warm(path: string): Promise<void> {
  for await (const _ of createReadStream(path, { highWaterMark: 8 << 20 }));
}

const factsOf = async (model: string, signal: AbortSignal): Promise<ModelFacts> =>
  modelFacts(await inspect(model, signal), statSync(model).size);

/** Files given with --also, by their format. */
async function givenFiles(paths: readonly string[], signal: AbortSignal): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const path of paths) {
    const { format } = await factsOf(path, signal);
    if (!claims.some((claim) => claim.format !== undefined && claim.format === format))
      throw new WrongUsage(`--also ${path}: its matrices are in ${format ?? "several formats"}; give one in Q8_0 or F16`);
    files.set(format!, path);
  }
  return files;
}

async function measure(claim: Claim, setting: Setting, facts: ModelFacts, repeat: number): Promise<ClaimResult> {
  const has: Readonly<Record<Entrant["contestant"], boolean>> = {
    frugal: true,
    machine: true,
    "llama.cpp": setting.llamaCpp !== undefined,
    "node-llama-cpp": setting.nodeLlamaCpp !== undefined,
  };
  const limit = claim.limit?.(facts);
  const entrants = claim.entrants.filter(({ contestant }) => has[contestant]);
  await warm(setting.model);
  const rows = await interleave(claim, setting, {
    repeat,
    entrants: limit ? [...entrants, limit.entrant] : entrants,
    onSample: (label, round, value) => {
      const shown = typeof value === "number" ? figure(value) : `failed: ${value}`;
      say(`${claim.name} ${round < 0 ? "warming up" : `${round + 1}/${claim.isExact === true ? 1 : repeat}`} ${label}: ${shown}`);
    },
  });
  return judge(claim, rows.slice(0, entrants.length), limit && { limit, row: rows.at(-1)!, facts });
}

/** Installed on demand; what can't be installed is left out, with a word. */
async function installed({ peers, cache }: Arguments, signal: AbortSignal): Promise<string | undefined> {
  if (!peers.includes("node-llama-cpp")) return undefined;
  try {
    return await nodeLlamaCpp.install(cache, signal, say);
  } catch (error) {
    signal.throwIfAborted();
    say(`node-llama-cpp is left out: ${(error as Error).message}`);
    return undefined;
  }
}

async function compare(given: Arguments, signal: AbortSignal): Promise<boolean> {
  const model = resolve(given.model);
  for (const path of [model, ...given.also, ...(given.text === undefined ? [] : [given.text])])
    if (!existsSync(path)) throw new WrongUsage(`${path}: there is no such file`);
  const folder = given.peers.includes("llama.cpp") ? given.llamaCpp : undefined;
  if (folder !== undefined && !llamaCpp.tools.some((tool) => llamaCpp.hasTool(folder, tool)))
    throw new WrongUsage(`--llama-cpp ${folder}: there is none of ${llamaCpp.tools.join(", ")}`);
  const before = processorTime();
  const also = await givenFiles(given.also, signal);
  const facts = await factsOf(model, signal);
  const package_ = await installed(given, signal);
  const setting: Omit<Setting, "model"> = {
    threads: given.threads,
    signal,
    ...(folder === undefined ? {} : { llamaCpp: folder }),
    ...(package_ === undefined ? {} : { nodeLlamaCpp: package_ }),
    ...(given.text === undefined ? {} : { text: given.text }),
    ...(given.chunks === undefined ? {} : { chunks: given.chunks }),
  };
  const { instructionSet } = await calibrate("f32", given.threads, signal);
  const about = {
    date: new Date().toISOString(),
    machine: { ...describeMachine(), instruction_set: instructionSet },
    model: { file: facts.name, bytes: facts.fileBytes, bytes_per_token: facts.bytesPerToken, body_parameters: facts.bodyParameters },
    threads: given.threads,
    rounds: given.repeat,
    peers: {
      ...(folder === undefined ? {} : { "llama.cpp": (await llamaCpp.version(folder, signal)) ?? "unknown" }),
      ...(package_ === undefined ? {} : { "node-llama-cpp": nodeLlamaCpp.version }),
    },
  };
  const { machine } = about;
  process.stdout.write(
    `${facts.name}; ${machine.processor}, ${instructionSet}, ${given.threads} ${given.threads === 1 ? "thread" : "threads"}; Node ${machine.node}; ${Object.entries(
      about.peers,
    )
      .map((peer) => peer.join(" "))
      .join("; ")}\n\n`,
  );

  const results: ClaimResult[] = [];
  for (const claim of claims.filter(({ name }) => given.quantities.includes(name))) {
    const result = await measured(claim, model, facts);
    results.push(result);
    process.stdout.write(`${printResult(result)}\n`);
  }
  const after = processorTime();
  const stolen = before && after && after.busy > before.busy ? (after.stolen - before.stolen) / (after.busy - before.busy) : undefined;
  if (stolen !== undefined)
    process.stdout.write(`${(100 * stolen).toFixed(0)} % of the processors' busy time went to other guests of this host\n`);
  if (given.json !== undefined)
    writeFileSync(given.json, `${JSON.stringify({ ...about, stolen_share: stolen, claims: results }, undefined, 2)}\n`);
  return results.every(({ skipped, rows }) => skipped === undefined && rows.every(({ failure }) => failure === undefined));

  async function measured(claim: Claim, original: string, originalFacts: ModelFacts): Promise<ClaimResult> {
    if (claim.name === "perplexity" && given.text === undefined) return skippedResult(claim, "give a text with --text FILE");
    if (claim.format === undefined) return measure(claim, { ...setting, model: original }, originalFacts, given.repeat);
    try {
      const options = { cache: given.cache, given: also, signal, say, ...(folder === undefined ? {} : { llamaCpp: folder }) };
      const file = await fileInFormat(original, claim.format, options);
      return await measure(claim, { ...setting, model: file }, await factsOf(file, signal), given.repeat);
    } catch (error) {
      signal.throwIfAborted();
      return skippedResult(claim, (error as Error).message);
    }
  }
}

const controller = new AbortController();
const stop = (): void => controller.abort();
process.once("SIGINT", stop).once("SIGTERM", stop);
const names = claims.map(({ name }) => name);
try {
  const given = parseArguments(process.argv.slice(2), names);
  if (given === undefined) process.stdout.write(usage(names));
  else process.exitCode = (await compare(given, controller.signal)) ? 0 : 1;
} catch (error) {
  process.exitCode = error instanceof WrongUsage ? 2 : 1;
  if (controller.signal.aborted) say("bench: stopped");
  else say(error instanceof WrongUsage ? `bench: ${error.message}\n\n${usage(names)}` : `bench: ${(error as Error).message}`);
}

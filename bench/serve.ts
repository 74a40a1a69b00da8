/**
 * `npm run bench:serve`: `frugal serve` beside llama-server on the same file, by the same client, which is a process of its own. Rounds
 * alternate; in each, every server is started anew and has warmed up before it is measured. Both compute every prompt wholly.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runFrugal } from "./contestants/frugal.ts";
import { version } from "./contestants/llama-cpp.ts";
import { describeMachine } from "./measure/machine.ts";
import { median, pairwiseRatios, summarize } from "./measure/statistics.ts";
import { freePort, frugalProgram, type ServerProcess, startServer } from "./serving/server-process.ts";

const usage = `npm run bench:serve -- MODEL [options]

MODEL             a .gguf file
--llama-cpp DIR   the folder with llama-server; without it, Frugal is measured alone
--threads N       of each server (default: 2)
--repeat N        rounds (default: 5)
--clients N       (default: 8)
--requests N      (default: 32)
--prompt N        tokens of a prompt, about (default: 100)
--generate N      tokens written for each (default: 64)
--text FILE       prompts are pieces of it (default: words without meaning)
--json FILE       every sample there too
`;

interface Given {
  readonly model: string;
  readonly llamaCpp: string | undefined;
  readonly threads: number;
  readonly repeat: number;
  readonly clients: number;
  readonly requests: number;
  readonly prompt: number;
  readonly generate: number;
  readonly text: string | undefined;
  readonly json: string | undefined;
}

/** What `frugal bench serve --json` prints, as much as is used here. */
interface Report {
  readonly failed: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly prompt_tokens: number;
  readonly output_tokens: number;
  readonly output_throughput: number;
  readonly total_token_throughput: number;
  readonly ttft_ms: { readonly p50: number; readonly p95: number };
  readonly itl_ms: { readonly p50: number; readonly p95: number; readonly max: number };
  readonly e2el_ms: { readonly p50: number; readonly p95: number };
  readonly client_cpu: number;
}

export interface Sample extends Report {
  readonly peak_rss_bytes: number | undefined;
}

interface Contestant {
  readonly name: string;
  start(given: Given, signal: AbortSignal): Promise<ServerProcess>;
  /** Fields of requests that keep it from using what it read before. */
  readonly extraBody?: string;
  readonly samples: Sample[];
}

const frugal = (): Contestant => ({
  name: "frugal",
  samples: [],
  async start({ model, threads, clients }, signal) {
    const port = await freePort();
    const sizes = ["--sequences", String(clients), "--context", "1024", "--cache-tokens", "8192"];
    const args = [frugalProgram, "serve", model, "--port", String(port), "--threads", String(threads), ...sizes];
    return startServer(process.execPath, [...args, "--no-prefix-cache", "--log", "error"], port, signal);
  },
});

const llamaServer = (folder: string): Contestant => ({
  name: "llama-server",
  samples: [],
  extraBody: '{"cache_prompt":false}',
  async start({ model, threads, clients }, signal) {
    const port = await freePort();
    const sizes = ["-t", String(threads), "-tb", String(threads), "-c", "8192", "-np", String(clients)];
    const args = ["-m", model, ...sizes, "-cb", "-fa", "on", "-ngl", "0", "--port", String(port)];
    return startServer(join(folder, "llama-server"), args, port, signal);
  },
});

async function sample(contestant: Contestant, given: Given, signal: AbortSignal): Promise<Sample> {
  const server = await contestant.start(given, signal);
  try {
    const sizes = [
      "--requests",
      given.requests,
      "--concurrency",
      given.clients,
      "--prompt-tokens",
      given.prompt,
      "--output-tokens",
      given.generate,
    ];
    const more = [
      ...(contestant.extraBody === undefined ? [] : ["--extra-body", contestant.extraBody]),
      ...(given.text === undefined ? [] : ["--text", given.text]),
    ];
    const args = ["bench", "serve", server.url, ...sizes.map(String), "--warmup", String(given.clients), ...more, "--json"];
    const report = JSON.parse((await runFrugal(args, { signal })).stdout) as Report;
    if (report.failed > 0) throw new Error(`${contestant.name}: ${report.failed} requests failed: ${Object.keys(report.errors)[0]}`);
    return { ...report, peak_rss_bytes: server.memory()?.peak };
  } finally {
    await server.stop();
  }
}

const quantities = [
  ["tokens written per second", (one: Sample) => one.output_throughput, 1],
  ["tokens read and written per second", (one: Sample) => one.total_token_throughput, 1],
  ["first token, median, ms", (one: Sample) => one.ttft_ms.p50, 0],
  ["first token, 95 %, ms", (one: Sample) => one.ttft_ms.p95, 0],
  ["between tokens, median, ms", (one: Sample) => one.itl_ms.p50, 1],
  ["between tokens, 95 %, ms", (one: Sample) => one.itl_ms.p95, 1],
  ["between tokens, most, ms", (one: Sample) => one.itl_ms.max, 0],
  ["whole answer, median, ms", (one: Sample) => one.e2el_ms.p50, 0],
  ["peak memory, MB", (one: Sample) => (one.peak_rss_bytes ?? NaN) / 1e6, 0],
  ["client's use of a processor, %", (one: Sample) => 100 * one.client_cpu, 1],
] as const;

function table(contestants: readonly Contestant[]): string {
  const [ours, peer] = contestants;
  const cell = (values: readonly number[], digits: number): string => {
    const { median: middle, least, most } = summarize(values);
    return `${middle.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`;
  };
  return [
    `| median (least to most) | ${contestants.map(({ name }) => name).join(" | ")} |${peer === undefined ? "" : " by rounds |"}`,
    `|---|${"---|".repeat(contestants.length + (peer === undefined ? 0 : 1))}`,
    ...quantities.map(([name, of, digits]) => {
      const ratio = peer === undefined ? "" : ` ${median(pairwiseRatios(ours!.samples.map(of), peer.samples.map(of))).toFixed(2)}x |`;
      return `| ${name} | ${contestants.map(({ samples }) => cell(samples.map(of), digits)).join(" | ")} |${ratio}`;
    }),
  ].join("\n");
}

function parse(args: readonly string[]): Given | undefined {
  const text = { type: "string" } as const;
  const numbers = { threads: 2, repeat: 5, clients: 8, requests: 32, prompt: 100, generate: 64 };
  const named = Object.fromEntries(Object.keys(numbers).map((name) => [name, text]));
  const options = { ...named, "llama-cpp": text, text, json: text, help: { type: "boolean" } } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  const given = values as Readonly<Record<string, string | undefined>> & { readonly help?: boolean };
  if (given.help === true) return undefined;
  const [model, ...rest] = positionals;
  if (model === undefined || rest.length > 0) throw new TypeError("name one MODEL: a .gguf file");
  if (!existsSync(model)) throw new TypeError(`${model}: there is no such file`);
  const whole = (name: keyof typeof numbers): number => {
    const value = given[name] ?? String(numbers[name]);
    if (/^[1-9]\d{0,4}$/.test(value)) return Number(value);
    throw new TypeError(`--${name} is ${JSON.stringify(value)}; give a whole number from 1`);
  };
  const llamaCpp = given["llama-cpp"];
  if (llamaCpp !== undefined && !existsSync(join(llamaCpp, "llama-server")))
    throw new TypeError(`--llama-cpp ${llamaCpp}: there is no llama-server`);
  const sizes = Object.fromEntries(
    Object.keys(numbers).map((name) => [name, whole(name as keyof typeof numbers)]),
  ) as unknown as typeof numbers;
  return { model, llamaCpp, text: given["text"], json: given["json"], ...sizes };
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const controller = new AbortController();
process.once("SIGINT", () => controller.abort()).once("SIGTERM", () => controller.abort());
try {
  const given = parse(process.argv.slice(2));
  if (given === undefined) process.stdout.write(usage);
  else {
    const contestants = [frugal(), ...(given.llamaCpp === undefined ? [] : [llamaServer(given.llamaCpp)])];
    for (let round = 0; round < given.repeat; round++)
      for (const contestant of contestants) {
        const one = await sample(contestant, given, controller.signal);
        contestant.samples.push(one);
        say(
          `${round + 1}/${given.repeat} ${contestant.name}: ${one.output_throughput.toFixed(1)} tokens/s written, first token ${one.ttft_ms.p50.toFixed(0)} ms, between tokens ${one.itl_ms.p50.toFixed(1)} ms`,
        );
      }
    const peer = given.llamaCpp === undefined ? undefined : await version(given.llamaCpp, controller.signal);
    const { model, threads, repeat, clients, requests, prompt, generate } = given;
    const about = {
      date: new Date().toISOString(),
      machine: describeMachine(),
      model,
      threads,
      rounds: repeat,
      clients,
      requests,
      prompt,
      generate,
      peer,
    };
    if (given.json !== undefined)
      writeFileSync(
        given.json,
        `${JSON.stringify({ ...about, samples: Object.fromEntries(contestants.map(({ name, samples }) => [name, samples])) }, undefined, 2)}\n`,
      );
    process.stdout.write(`${table(contestants)}\n`);
  }
} catch (error) {
  process.exitCode = error instanceof TypeError ? 2 : 1;
  say(
    controller.signal.aborted ? "bench: stopped" : `bench: ${(error as Error).message}${error instanceof TypeError ? `\n\n${usage}` : ""}`,
  );
}

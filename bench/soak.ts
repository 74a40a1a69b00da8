/** `npm run bench:soak`: a real `frugal serve` under a random load with faults, for as long as is asked; JSON on stdout, 1 where something was wrong. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { describeMachine } from "./measure/machine.ts";
import { freePort, frugalProgram, startServer } from "./serving/server-process.ts";
import { soak } from "./serving/soak.ts";

const usage = `npm run bench:soak -- MODEL [options]

MODEL                  a .gguf file, or an embedded model
--minutes X            (default: 20)
--clients N            (default: 12)
--threads N            (default: 2)
--adapter NAME=PATH    may be given more than once
--seed N               (default: 1)
--json FILE            the result there too
`;

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const controller = new AbortController();
const { signal } = controller;
process.once("SIGINT", () => controller.abort()).once("SIGTERM", () => controller.abort());

async function main(): Promise<void> {
  const text = { type: "string" } as const;
  const options = {
    minutes: text,
    clients: text,
    threads: text,
    seed: text,
    json: text,
    adapter: { ...text, multiple: true },
    help: { type: "boolean" },
  } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.help === true) return void process.stdout.write(usage);
  const [model, ...rest] = positionals;
  if (model === undefined || rest.length > 0) throw new TypeError("name one MODEL");
  const number = (name: "minutes" | "clients" | "threads" | "seed", usual: number): number => {
    const value = Number(values[name] ?? usual);
    if (value > 0 && value <= 10_000) return value;
    throw new TypeError(`--${name} is ${JSON.stringify(values[name])}; give a number above 0`);
  };
  const adapters = values.adapter ?? [];
  const [minutes, clients, threads, seed] = [number("minutes", 20), number("clients", 12), number("threads", 2), number("seed", 1)];
  const port = await freePort();
  // A cache so small that texts make room for each other.
  const sizes = [
    "--context",
    "512",
    "--cache-tokens",
    "1024",
    "--sequences",
    "6",
    "--queue",
    String(2 * clients),
    "--threads",
    String(threads),
  ];
  const args = [
    frugalProgram,
    "serve",
    model,
    "--port",
    String(port),
    ...sizes,
    "--log",
    "error",
    ...adapters.flatMap((adapter) => ["--adapter", adapter]),
  ];
  const server = await startServer(process.execPath, args, port, signal);
  try {
    const result = await soak({
      url: server.url,
      seconds: minutes * 60,
      clients,
      adapters: adapters.map((adapter) => adapter.split("=")[0]!),
      seed,
      signal,
      memory: () => server.memory()?.resident,
      openFiles: () => server.openFiles(),
      say,
    });
    const ended = server.ended();
    const exitCode = await server.stop();
    const violations = [
      ...result.violations,
      ...(ended === undefined ? [] : [`ended: the server by itself with ${ended}: ${server.lastWords()}`]),
      ...(exitCode === 0 ? [] : [`exit: the server ended with ${exitCode}`]),
    ];
    const { processor, node } = describeMachine();
    const about = { model: model.split("/").at(-1), threads, clients, processor, node, date: new Date().toISOString().slice(0, 10) };
    const json = JSON.stringify({ about, result: { ...result, violations } }, undefined, 2);
    if (values.json !== undefined) writeFileSync(values.json, `${json}\n`);
    process.stdout.write(`${json}\n`);
    process.exitCode = violations.length === 0 ? 0 : 1;
  } finally {
    await server.stop();
  }
}

try {
  await main();
} catch (error) {
  process.exitCode = error instanceof TypeError ? 2 : 1;
  say(signal.aborted ? "soak: stopped" : `soak: ${(error as Error).message}${error instanceof TypeError ? `\n\n${usage}` : ""}`);
}

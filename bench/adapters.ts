/**
 * `npm run bench:adapters`: texts of many adapters in one batch. Eight texts of 1, 2, 4 and 8 adapters in one batch, against no adapter,
 * one batch an adapter, and an adapter changed for each text; then many adapters in files, asked for as Zipf's law says. Prints tables; JSON goes to a file.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openLibrary } from "./adapters/library.ts";
import { measureBatches } from "./adapters/batches.ts";
import { measureMany } from "./adapters/many.ts";
import { writeAdapters } from "./adapters/files.ts";
import { table } from "./adapters/table.ts";
import { describeMachine } from "./measure/machine.ts";

const usage = `npm run bench:adapters -- --model MODEL [options]

--model MODEL     a text model
--rank N          of each adapter, on queries, keys, values and outputs (default: 16)
--tokens N        tokens of each text, after a prompt of 32 (default: 48)
--repeat N        rounds, in each of which everything is measured once (default: 5)
--adapters N      adapters in files for the second part; 0 leaves it out (default: 200)
--slots N         for these (default: 8)
--requests N      texts written with them (default: 200)
--threads N       (default: 2)
--json FILE       write all samples' summaries there
`;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

function parse(args: readonly string[]): Readonly<
  Record<"rank" | "tokens" | "repeat" | "adapters" | "slots" | "requests" | "threads", number>
> & {
  readonly model: string;
  readonly json: string | undefined;
} {
  const text = { type: "string" } as const;
  const options = {
    model: text,
    rank: text,
    tokens: text,
    repeat: text,
    adapters: text,
    slots: text,
    requests: text,
    threads: text,
    json: text,
  } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.model === undefined) throw new TypeError("--model is missing");
  const count = (name: Exclude<keyof typeof options, "model" | "json">, usual: number): number => {
    const value = values[name] ?? String(usual);
    if (/^\d{1,6}$/.test(value)) return Number(value);
    throw new TypeError(`--${name} is ${JSON.stringify(value)}; give a whole number`);
  };
  return {
    model: values.model,
    json: values.json,
    rank: count("rank", 16),
    tokens: count("tokens", 48),
    repeat: count("repeat", 5),
    adapters: count("adapters", 200),
    slots: count("slots", 8),
    requests: count("requests", 200),
    threads: count("threads", 2),
  };
}

if (process.argv.includes("--help")) process.stdout.write(usage);
else {
  const folder = mkdtempSync(join(tmpdir(), "frugal-bench-adapters-"));
  try {
    const given = parse(process.argv.slice(2));
    const library = await openLibrary();
    // More names than files: what is read and held differs by name, the numbers need not.
    const paths = await writeAdapters(library, given.model, folder, given.rank, Math.max(8, Math.min(32, given.adapters)));
    const batches = await measureBatches(library, { ...given, paths, say });
    const many = given.adapters === 0 ? undefined : await measureMany(library, { ...given, paths, say });
    const { model, rank, tokens, repeat, threads } = given;
    const machine = describeMachine();
    const result = `${JSON.stringify({ machine, model, rank, tokens, repeat, threads, batches, many }, undefined, 2)}\n`;
    if (given.json !== undefined) writeFileSync(given.json, result);
    process.stdout.write(`${table(batches, many)}\n`);
  } catch (error) {
    process.exitCode = error instanceof TypeError ? 2 : 1;
    say(`bench: ${(error as Error).message}${error instanceof TypeError ? `\n\n${usage}` : ""}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * `npm run bench:serving`: the experiments of docs/serving.md, one after the other, each in a process of its own. What they say is kept in
 * docs/serving.json, from which the page's tables and plots are made.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runFrugal } from "./contestants/frugal.ts";
import { runChild } from "./measure/child.ts";
import { describeMachine } from "./measure/machine.ts";
import type { Experiment, Setting } from "./serving/experiment.ts";
import { experiments } from "./serving/index.ts";
import { loadLibrary } from "./serving/library.ts";
import { fillIn } from "./serving/page.ts";
import { programPath, programs, type ProgramSetting } from "./serving/programs.ts";

/** What has a place on the page: of a program, the result is what it printed. */
const sections: readonly Pick<Experiment, "name" | "table" | "plots">[] = [
  ...experiments,
  ...programs.map(({ name, table }) => ({ name, table: (stdout: unknown) => table(stdout as string) })),
];
const names = sections.map(({ name }) => name);
const usage = `npm run bench:serving -- MODEL [options]

MODEL             a .gguf file, or an embedded model
--only A,B        some of ${names.join(", ")} (default: all)
--threads N       (default: 2)
--llama-cpp DIR   the folder with llama-server, to stand beside it
--soak-minutes X  (default: 3)
--traces DIR      recorded loads (default: ../shared/data/serving)
--quick           sizes for a test: numbers that mean nothing, and no page
--page            measure nothing; write the page from docs/serving.json again
--json FILE       the results there, and no page
`;

interface Measured {
  readonly about: Readonly<Record<string, unknown>>;
  readonly result: unknown;
}

// From bench/build/, where this runs.
const path = (place: string): string => fileURLToPath(new URL(`../../${place}`, import.meta.url));
const say = (text: string): void => void process.stderr.write(`${text}\n`);

function writePage(measured: Readonly<Record<string, Measured>>): void {
  let page = readFileSync(path("docs/serving.md"), "utf8");
  mkdirSync(path("docs/plots"), { recursive: true });
  for (const section of sections) {
    const found = measured[section.name];
    if (found === undefined) continue;
    const plots = Object.entries(section.plots?.(found.result) ?? {});
    for (const [name, svg] of plots) writeFileSync(path(`docs/plots/${name}`), svg);
    const { model, threads, processor, node, date, note } = found.about;
    const about = `${String(model)}, ${String(threads)} threads of ${String(processor)}, Node ${String(node)}, ${String(date)}${note === undefined ? "" : `; ${String(note)}`}.`;
    const images = plots.map(([name]) => `![${name.replace(".svg", "")}](plots/${name})`);
    page = fillIn(page, section.name, [`_${about}_`, section.table(found.result), ...images].join("\n\n"));
  }
  writeFileSync(path("docs/serving.md"), page);
}

const controller = new AbortController();
const { signal } = controller;
process.once("SIGINT", () => controller.abort()).once("SIGTERM", () => controller.abort());

const given = parseArgs({
  options: {
    only: { type: "string" },
    threads: { type: "string" },
    "llama-cpp": { type: "string" },
    "soak-minutes": { type: "string" },
    traces: { type: "string" },
    quick: { type: "boolean" },
    page: { type: "boolean" },
    json: { type: "string" },
    /** One experiment, in this process. */
    here: { type: "boolean" },
    help: { type: "boolean" },
  },
  allowPositionals: true,
});

async function load(url: string, options: readonly string[]): Promise<number> {
  const { stdout } = await runFrugal(["bench", "serve", url, ...options, "--json"], { signal });
  return (JSON.parse(stdout) as { readonly client_cpu: number }).client_cpu;
}

async function main({ values, positionals }: typeof given): Promise<void> {
  if (values.help === true) return void process.stdout.write(usage);
  const stored = path("docs/serving.json");
  const known = existsSync(stored) ? (JSON.parse(readFileSync(stored, "utf8")) as Record<string, Measured>) : {};
  if (values.page === true) return writePage(known);
  const [model, ...rest] = positionals;
  if (model === undefined || rest.length > 0) throw new TypeError("name one MODEL");
  const wanted = values.only?.split(",") ?? (values.quick === true ? experiments.map(({ name }) => name) : names);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new TypeError(`--only: there is no ${unknown}; there are ${names.join(", ")}`);
  const threads = Number(values.threads ?? "2");
  const traces = values.traces ?? path("../shared/data/serving");
  const quick = values.quick === true;

  if (values.here === true) {
    const setting: Setting = { library: await loadLibrary(), model, threads, quick, signal, say, load, traces };
    const experiment = experiments.find(({ name }) => name === wanted[0])!;
    return void process.stdout.write(`${JSON.stringify(await experiment.run(setting))}\n`);
  }
  const soakMinutes = Number(values["soak-minutes"] ?? "3");
  if (!(threads >= 1 && soakMinutes > 0)) throw new TypeError("--threads and --soak-minutes are numbers above 0");
  const programSetting: ProgramSetting = { model, threads, soakMinutes, llamaCpp: values["llama-cpp"] };
  const { processor, node } = describeMachine();
  const results: Record<string, Measured> = {};
  const failures: string[] = [];
  for (const name of wanted) {
    say(`== ${name}`);
    const program = programs.find((one) => one.name === name);
    const file = program === undefined ? fileURLToPath(import.meta.url) : programPath(program);
    const own = ["--here", "--only", name, "--threads", String(threads), "--traces", traces, ...(quick ? ["--quick"] : [])];
    const args = program === undefined ? [model, ...own] : program.args(programSetting);
    try {
      if (file === undefined) throw new Error("there is no such program");
      const { stdout, seconds } = await runChild(process.execPath, [file, ...args], {
        signal,
        onWords: (text) => void process.stderr.write(text),
      });
      const about = {
        model: model.split("/").at(-1),
        threads,
        processor,
        node,
        date: new Date().toISOString().slice(0, 10),
        seconds: Math.round(seconds),
      };
      results[name] = { about, result: program === undefined ? (JSON.parse(stdout) as unknown) : stdout };
      say(`${name}: ${seconds.toFixed(0)} s`);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(name);
      say(`${name}: ${(error as Error).message}`);
    }
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
  else if (!quick) {
    const all = { ...known, ...results };
    writeFileSync(stored, `${JSON.stringify(all, undefined, 1)}\n`);
    writePage(all);
  }
  for (const { name, table } of sections)
    if (results[name] !== undefined) process.stdout.write(`## ${name}\n\n${table(results[name].result)}\n\n`);
  if (failures.length > 0) throw new Error(`not measured: ${failures.join(", ")}`);
}

try {
  await main(given);
} catch (error) {
  process.exitCode = error instanceof TypeError ? 2 : 1;
  say(signal.aborted ? "bench: stopped" : `bench: ${(error as Error).message}${error instanceof TypeError ? `\n\n${usage}` : ""}`);
}

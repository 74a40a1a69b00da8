/**
 * `npm run bench:lora`: low-rank adapters of rank 1 to 64 against full tuning, on two tasks and several seeds: trained parameters, memory,
 * time and accuracy. Writes docs/lora-experiment.md and its plot.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { plot, type Row, tables, type TaskResult } from "./experiments/report.ts";
import { readTasks, type Task } from "./experiments/tasks.ts";
import { accuracy, type Method, tune, type Tuning } from "./experiments/tuning.ts";
import { runFrugal } from "./contestants/frugal.ts";
import { describeMachine } from "./measure/machine.ts";

const usage = `npm run bench:lora -- [options]

--model MODEL     what is tuned (default: stories)
--ranks 1,4,...   (default: 1,4,16,64)
--seeds N         tunings of each kind (default: 3)
--threads N       (default: 2)
--data DIR        the folder with sentiment/ and banking77/ (default: ../shared/data/tasks)
--json FILE       every tuning there too
`;

// From bench/build/, where this runs.
const root = new URL("../../", import.meta.url);
const path = (place: string): string => fileURLToPath(new URL(place, root));
const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Rates are usual ones, not searched for: six times higher for adapters, and one for all ranks, since alpha is twice the rank. */
const methodsOf = (ranks: readonly number[]): readonly Method[] => [
  ...ranks.map((rank) => ({ name: `LoRA, rank ${rank}`, rank, learningRate: 3e-3 })),
  { name: "full", learningRate: 5e-4 },
];

interface Given {
  readonly model: string;
  readonly ranks: readonly number[];
  readonly seeds: number;
  readonly threads: number;
  readonly data: string;
  readonly json: string | undefined;
}

function parse(args: readonly string[]): Given | undefined {
  const text = { type: "string" } as const;
  const options = { model: text, ranks: text, seeds: text, threads: text, data: text, json: text, help: { type: "boolean" } } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.help === true) return undefined;
  const whole = (name: string, value: string): number => {
    if (/^[1-9]\d{0,3}$/.test(value)) return Number(value);
    throw new TypeError(`--${name} is ${JSON.stringify(value)}; give whole numbers from 1`);
  };
  return {
    model: values.model ?? "stories",
    ranks: (values.ranks ?? "1,4,16,64").split(",").map((rank) => whole("ranks", rank)),
    seeds: whole("seeds", values.seeds ?? "3"),
    threads: whole("threads", values.threads ?? "2"),
    data: values.data ?? path("../shared/data/tasks"),
    json: values.json,
  };
}

/** Seeds on the outside, so that what disturbs the machine for a while disturbs all methods. */
async function measure(task: Task, given: Given, signal: AbortSignal): Promise<TaskResult> {
  const rows: (Row & { readonly tunings: Tuning[] })[] = methodsOf(given.ranks).map((method) => ({ method, tunings: [] }));
  for (let seed = 1; seed <= given.seeds; seed++)
    for (const { method, tunings } of rows) {
      const tuning = await tune(task, method, seed, { ...given, signal });
      tunings.push(tuning);
      say(`${task.name}, ${method.name}, seed ${seed}: ${tuning.accuracy.toFixed(1)} % in ${tuning.seconds.toFixed(1)} s`);
    }
  const untuned = await accuracy(task, given.model, undefined, given.threads);
  return { title: task.title, steps: task.steps, untuned, rows };
}

/** The page keeps its own words; what stands between the marks is replaced. */
function writePage(results: readonly TaskResult[], parameters: number, { model, seeds, threads }: Given): void {
  const file = path("docs/lora-experiment.md");
  const { processor, node } = describeMachine();
  const about = `${model}, ${parameters.toLocaleString("en")} parameters; ${seeds} seeds; ${threads} threads of ${processor}; Node ${node}; ${new Date().toISOString().slice(0, 10)}.`;
  const [begin, end] = ["<!-- measured -->", "<!-- end -->"];
  const page = existsSync(file) ? readFileSync(file, "utf8") : `${begin}\n${end}\n`;
  const [before, rest] = [page.slice(0, page.indexOf(begin) + begin.length), page.slice(page.indexOf(end))];
  writeFileSync(file, `${before}\n\n${about}\n\n${tables(results, parameters)}\n\n${rest}`);
  writeFileSync(path("docs/lora-experiment.svg"), plot(results));
}

const controller = new AbortController();
process.once("SIGINT", () => controller.abort()).once("SIGTERM", () => controller.abort());
try {
  const given = parse(process.argv.slice(2));
  if (given === undefined) process.stdout.write(usage);
  else {
    const { stdout } = await runFrugal(["inspect", given.model, "--json"], { signal: controller.signal });
    const { parameters } = JSON.parse(stdout) as { readonly parameters: number };
    const results: TaskResult[] = [];
    for (const task of readTasks(given.data)) results.push(await measure(task, given, controller.signal));
    writePage(results, parameters, given);
    if (given.json !== undefined) writeFileSync(given.json, `${JSON.stringify({ parameters, results }, undefined, 2)}\n`);
    process.stdout.write(`${tables(results, parameters)}\n`);
  }
} catch (error) {
  process.exitCode = error instanceof TypeError ? 2 : 1;
  say(
    controller.signal.aborted ? "bench: stopped" : `bench: ${(error as Error).message}${error instanceof TypeError ? `\n\n${usage}` : ""}`,
  );
}

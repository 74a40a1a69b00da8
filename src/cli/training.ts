/** What `tune` and `train` share: ranks, progress on stderr, and the report. */
import type { DataReport } from "../training/data/read-examples.ts";
import type { ParallelOptions } from "../training/parallel/data-parallel.ts";
import type { TrainingProgress } from "../training/run.ts";
import type { Tuning } from "../training/tune.ts";
import { type Given, type OptionSpec, UsageError } from "./command.ts";
import { interruptible } from "./open-model.ts";
import { note, peakMemory, printJson, printLine, progressLine, round } from "./output.ts";

export const runOptions: readonly OptionSpec[] = [
  { name: "resume", help: "go on where a training with the same settings was cut off" },
  {
    name: "workers",
    value: { label: "N", kind: "integer", least: 1 },
    help: "threads that each take a share of every step (default: 1; or mpirun)",
  },
  {
    name: "shards",
    value: { label: "WHAT", kind: ["none", "states", "gradients"] },
    help: "what each worker keeps only its part of: none, states of the optimizer, or gradients too",
  },
  {
    name: "stages",
    value: { label: "N", kind: "integer", least: 1 },
    help: "parts of the way back; workers send the gradients of one while the next computes (default: 1, 4 with --shards gradients)",
  },
  { name: "compress", value: { label: "NAME", kind: "text" }, help: "workers send less than the gradients: top-k, power-sgd or eight-bit" },
];

/** Does the training as one of the ranks; the first one tells about it. */
export function runTuning(
  given: Given,
  out: string,
  start: (signal: AbortSignal, parallel: ParallelOptions | undefined) => Tuning,
): Promise<void> {
  return interruptible(async (signal) => {
    const { mpiProcesses, withRanks } = await import("../training/collectives/open.ts");
    const workers = given.number("workers");
    const options = await parallelOptions(given);
    if ((workers ?? 1) === 1 && mpiProcesses() === undefined) {
      const idle = shareOptions.find((name) => given.flag(name));
      if (idle !== undefined) throw new UsageError(`--${idle} says how workers share their work; add --workers 2 or more, or use mpirun`);
      return follow(given, out, start(signal, undefined), true);
    }
    const [script, ...args] = process.argv.slice(1) as [string, ...string[]];
    await withRanks({ workers, script, args, onError: (rank, error) => note(`worker ${rank}: ${error.message}`) }, (collective) =>
      follow(given, out, start(signal, { collective, ...options }), collective.rank === 0),
    );
  });
}

const shareOptions = ["shards", "stages", "compress"];

/** How workers share; without any there is nothing to share. */
async function parallelOptions(given: Given): Promise<Omit<ParallelOptions, "collective">> {
  const compress = given.text("compress");
  return {
    shards: given.text("shards") as ParallelOptions["shards"],
    stages: given.number("stages"),
    compression: compress === undefined ? undefined : (await import("../techniques/parallel/index.ts")).gradientCompression(compress),
  };
}

async function follow(given: Given, out: string, training: Tuning, tells: boolean): Promise<void> {
  const progress = progressLine();
  try {
    for await (const step of training) if (tells) progress.update(describe(step));
  } finally {
    progress.end();
  }
  const result = await training;
  if (!tells) return;
  tellData(result.data);
  const evaluated = result.evaluations.at(-1);
  const speed = round(result.tokensPerSecond, 1);
  if (given.flag("json"))
    return printJson({
      losses: result.losses,
      ...(result.evaluations.length > 0 ? { evaluations: result.evaluations } : {}),
      trainable_parameters: result.trainableParameters,
      tokens_per_second: speed,
      peak_rss_bytes: peakMemory(),
      ended_by: result.endedBy,
      ...(result.bestStep === undefined ? {} : { best_step: result.bestStep }),
      out,
    });
  const losses = `loss ${round(result.losses[0] ?? 0, 4)} -> ${round(result.losses.at(-1) ?? 0, 4)}`;
  const held = evaluated === undefined ? "" : `, evaluation ${round(evaluated.loss, 4)} after step ${evaluated.step}`;
  await printLine(`${result.steps} steps, ${losses}${held}; ${result.trainableParameters} parameters trained at ${speed} tokens/s`);
  await printLine(`${out}`);
}

function describe({ step, steps, loss, evaluationLoss, tokensPerSecond, secondsLeft }: TrainingProgress): string {
  const held = evaluationLoss === undefined ? "" : `, evaluation ${evaluationLoss.toFixed(4)}`;
  return `step ${step} of ${steps}: loss ${loss.toFixed(4)}${held}, ${tokensPerSecond.toFixed(0)} tokens/s, ${duration(secondsLeft)} left`;
}

/** What was left out of the data is said, wherever stderr goes. */
function tellData({ lines, badLines, firstBad, skippedLong, truncated, ignoredFields }: DataReport): void {
  const told = [
    badLines > 0 ? `${badLines} of ${lines} lines are bad and left out: ${firstBad[0]}` : "",
    skippedLong > 0 ? `${skippedLong} of ${lines} examples are longer than the context and left out` : "",
    truncated > 0 ? `${truncated} of ${lines} examples are longer than the context and cut off` : "",
    ...Object.entries(ignoredFields).map(
      ([field, count]) => `the field ${JSON.stringify(field)} of ${count} lines says nothing to a training`,
    ),
  ];
  for (const line of told) if (line !== "") process.stderr.write(`${line}\n`);
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** One tuning of the experiment: a process that tunes, then the accuracy of what it made. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runFrugal } from "../contestants/frugal.ts";
import { examplesPerStep, type Labelled, type Task } from "./tasks.ts";

export interface Method {
  readonly name: string;
  /** Of low-rank methods. */
  readonly rank?: number;
  readonly learningRate: number;
}

export interface Tuning {
  readonly trainable: number;
  readonly peakBytes: number;
  readonly seconds: number;
  readonly finalLoss: number;
  /** Of the test, in per cent. */
  readonly accuracy: number;
}

interface Setting {
  readonly model: string;
  readonly threads: number;
  readonly signal: AbortSignal;
}

/** Tunes in a process of its own, and measures here what it wrote. */
export async function tune(task: Task, method: Method, seed: number, { model, threads, signal }: Setting): Promise<Tuning> {
  const folder = mkdtempSync(join(tmpdir(), "frugal-lora-"));
  try {
    const data = join(folder, "train.jsonl");
    const out = join(folder, "out");
    writeFileSync(data, task.train.map(({ prompt, answer }) => `${JSON.stringify({ prompt, completion: answer })}\n`).join(""));
    const low = method.rank === undefined ? [] : ["--rank", method.rank, "--alpha", 2 * method.rank, "--targets", "all-linear"];
    const settings = [
      ["--method", method.rank === undefined ? "full" : "lora", ...low],
      ["--steps", task.steps, "--examples-per-step", examplesPerStep, "--order", "shuffled", "--seed", seed],
      ["--learning-rate", method.learningRate, "--schedule", "linear", "--weight-decay", 0, "--threads", threads],
    ];
    const args = ["tune", model, "--data", data, "--out", out, ...settings.flat().map(String), "--json"];
    const { stdout, seconds } = await runFrugal(args, { signal });
    const { losses, trainable_parameters, peak_rss_bytes } = JSON.parse(stdout) as {
      readonly losses: readonly number[];
      readonly trainable_parameters: number;
      readonly peak_rss_bytes: number;
    };
    return {
      trainable: trainable_parameters,
      peakBytes: peak_rss_bytes,
      seconds,
      finalLoss: losses.slice(-10).reduce((sum, loss) => sum + loss, 0) / Math.min(10, losses.length),
      accuracy: await (method.rank === undefined
        ? accuracy(task, wholeModel(out), undefined, threads)
        : accuracy(task, model, out, threads)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What full tuning wrote: a file where the base is one, else the directory. */
function wholeModel(out: string): string {
  const file = readdirSync(out).find((name) => name.endsWith(".gguf"));
  return file === undefined ? out : join(out, file);
}

interface Library {
  load(source: string, options: object): Promise<Model>;
}

interface Model {
  logits(ids: readonly number[]): Promise<Float32Array[]>;
  tokenizer(): Promise<{ encode(text: string, options?: { readonly addSpecial: boolean }): Int32Array }>;
  dispose(): Promise<void>;
}

/** Per cent of the test whose answer is the likeliest of all answers, in this process: one of its own for each sentence would take minutes. */
export async function accuracy(task: Task, source: string, adapter: string | undefined, threads: number): Promise<number> {
  // From bench/build/experiments/, where this runs.
  const { load } = (await import(new URL("../../../dist/index.js", import.meta.url).href)) as Library;
  const model = await load(source, { threads, context: 512, ...(adapter === undefined ? {} : { adapter }) });
  try {
    const tokenizer = await model.tokenizer();
    const answers = task.answers.map((answer) => {
      const [id, ...more] = tokenizer.encode(answer, { addSpecial: false });
      if (id === undefined || more.length > 0)
        throw new Error(`${task.name}: the answer ${JSON.stringify(answer)} is not one piece of this model`);
      return id;
    });
    let right = 0;
    for (const { prompt, answer } of task.test)
      if ((await likeliest(prompt, model, tokenizer, answers)) === task.answers.indexOf(answer)) right++;
    return (100 * right) / task.test.length;
  } finally {
    await model.dispose();
  }
}

async function likeliest(
  prompt: Labelled["prompt"],
  model: Model,
  tokenizer: Awaited<ReturnType<Model["tokenizer"]>>,
  answers: readonly number[],
): Promise<number> {
  const [row] = await model.logits(Array.from(tokenizer.encode(prompt)));
  return answers.reduce((best, id, i) => (row![id]! > row![answers[best]!]! ? i : best), 0);
}

/**
 * `npm run bench:training`: the speed and memory of training steps, beside PyTorch and beside ourselves, interleaved. Ours is the command
 * line's own `train` and `tune`, with data, logging and checkpoints; what is counted are rows a second of the steps after the second.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runChild } from "./measure/child.ts";
import { describeMachine } from "./measure/machine.ts";
import { median, pairwiseRatios, summarize } from "./measure/statistics.ts";
import { type LlamaSize, llamaConfig, writeRandomIds, writeRandomLlama } from "./training/random-llama.ts";

const usage = `npm run bench:training -- [options]

--python PATH     a Python with torch, transformers and peft; without it only ours is measured
--scripts DIR     the folder with train_torch.py and lora_peft.py (default: ../shared/peers)
--only a,b,...    of: ${["small", "medium", "lora", "half", "recompute", "parallel"].join(", ")}
--repeat N        rounds (default: 5)
--threads N       (default: 2)
--json FILE       the samples too
`;

const root = new URL("../../", import.meta.url);
const path = (place: string): string => fileURLToPath(new URL(place, root));
const say = (text: string): void => void process.stderr.write(`${text}\n`);

interface Sample {
  readonly tokensPerSecond: number;
  readonly peakMegabytes: number;
}

type Measure = () => Promise<Sample>;

interface Claim {
  readonly name: string;
  readonly title: string;
  readonly goal: string;
  readonly ours: Measure;
  readonly other: { readonly label: string; readonly measure: Measure } | undefined;
}

const small: LlamaSize = { width: 256, hidden: 704, layers: 6, heads: 4, vocabulary: 4096 };
const medium: LlamaSize = { width: 512, hidden: 1408, layers: 8, heads: 8, vocabulary: 4096 };
const large: LlamaSize = { width: 640, hidden: 2048, layers: 18, heads: 10, vocabulary: 32000 };

const signal = new AbortController();
process.on("SIGINT", () => signal.abort(new Error("stopped")));

/** Runs `frugal` with arguments that name `out`, and reads the speed of each step from its log. */
async function frugal(args: readonly string[], out: string): Promise<Sample> {
  const { peakBytes } = await runChild(process.execPath, [path("bin/frugal"), ...args, "--json"], {
    signal: signal.signal,
    measuresMemory: true,
  });
  const steps = readFileSync(join(out, "losses.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { tokens_per_second: number });
  rmSync(out, { recursive: true, force: true });
  return { tokensPerSecond: median(steps.slice(2).map((step) => step.tokens_per_second)), peakMegabytes: peakBytes! / 1e6 };
}

async function python(program: string, script: string, args: readonly (string | number)[]): Promise<Sample> {
  const { stdout, peakBytes } = await runChild(program, [script, ...args.map(String)], { signal: signal.signal, measuresMemory: true });
  const found = /: ([\d.]+) tok\/s/.exec(stdout);
  if (found === null) throw new Error(`${script}: told no speed: ${stdout.slice(-300)}`);
  return { tokensPerSecond: Number(found[1]), peakMegabytes: peakBytes! / 1e6 };
}

async function main(): Promise<void> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: { python: text, scripts: text, only: text, repeat: text, threads: text, json: text, help: { type: "boolean" } },
  });
  if (values.help === true) return void process.stdout.write(usage);
  const [repeat, threads] = [Number(values.repeat ?? 5), Number(values.threads ?? 2)];
  const scripts = values.scripts ?? path("../shared/peers");
  const folder = mkdtempSync(join(tmpdir(), "frugal-training-"));
  const out = join(folder, "out");
  let made = 0;

  const train = (
    size: LlamaSize,
    count: number,
    steps: number,
    more: Record<string, unknown> = {},
    flags: readonly string[] = [],
    own = threads,
  ): Measure => {
    const [data, recipe] = [join(folder, `ids-${made}.jsonl`), join(folder, `recipe-${made++}.json`)];
    writeRandomIds(data, count * 2, 256, size.vocabulary);
    const said = {
      model: { config: llamaConfig(size) },
      data,
      out,
      context: 256,
      examplesPerStep: count,
      rows: count * 256,
      steps,
      optimizer: "adamw",
      learningRate: 3e-4,
      ...more,
    };
    writeFileSync(recipe, JSON.stringify(said));
    return () => frugal(["train", recipe, "--threads", String(own), ...flags], out);
  };
  const torch =
    (size: LlamaSize, batch: number): Measure =>
    () =>
      python(values.python!, join(scripts, "train_torch.py"), [
        "--d",
        size.width,
        "--layers",
        size.layers,
        "--heads",
        size.heads,
        "--vocab",
        size.vocabulary,
        "--seq",
        256,
        "--batch",
        batch,
        "--threads",
        threads,
        "--secs",
        4,
      ]);
  const lora = (): Measure => {
    const [base, data] = [join(folder, "base"), join(folder, "lora.jsonl")];
    writeRandomLlama(base, large);
    writeRandomIds(data, 8, 256, large.vocabulary);
    return () =>
      frugal(
        [
          "tune",
          base,
          "--data",
          data,
          "--out",
          out,
          "--method",
          "lora",
          "--rank",
          "8",
          "--alpha",
          "16",
          "--steps",
          "6",
          "--examples-per-step",
          "4",
          "--rows",
          "1024",
          "--context",
          "256",
          "--threads",
          String(threads),
        ],
        out,
      );
  };
  const peft: Measure = () => python(values.python!, join(scripts, "lora_peft.py"), ["--threads", threads, "--reps", 2, "--secs", 6]);
  const peer = (measure: Measure): Claim["other"] => (values.python === undefined ? undefined : { label: "PyTorch", measure });

  const claims: Readonly<Record<string, () => Claim>> = {
    small: () => ({
      name: "small",
      title: "training step, 6.9 M parameters, 16 x 256 tokens",
      goal: "1.3x",
      ours: train(small, 16, 12),
      other: peer(torch(small, 16)),
    }),
    medium: () => ({
      name: "medium",
      title: "training step, 29.9 M parameters, 8 x 256 tokens",
      goal: "1.0x",
      ours: train(medium, 8, 8),
      other: peer(torch(medium, 8)),
    }),
    lora: () => ({
      name: "lora",
      title: "LoRA of rank 8, 141 M parameters, 4 x 256 tokens",
      goal: "1.5x tokens/s, 0.5x memory",
      ours: lora(),
      other: peer(peft),
    }),
    half: () => ({
      name: "half",
      title: "bf16 beside f32, 6.9 M parameters, 16 x 256 tokens",
      goal: "0.9x tokens/s, 0.65x memory",
      ours: train(small, 16, 8, { precision: "bf16" }),
      other: { label: "f32", measure: train(small, 16, 8) },
    }),
    recompute: () => ({
      name: "recompute",
      title: "6 parts recomputed beside all kept, 16 x 256 tokens",
      goal: "0.74x tokens/s",
      ours: train(small, 16, 8, { recompute: 6 }),
      other: { label: "kept", measure: train(small, 16, 8) },
    }),
    parallel: () => ({
      name: "parallel",
      title: "2 workers of 1 thread beside 1 of 2, 16 x 256 tokens",
      goal: "0.9x tokens/s",
      ours: train(small, 16, 8, {}, ["--workers", "2"], 1),
      other: { label: "1 worker", measure: train(small, 16, 8) },
    }),
  };
  const wanted = values.only?.split(",");
  const results: unknown[] = [];
  try {
    const { processor, node } = describeMachine();
    say(`${processor}, ${threads} threads, Node ${node}`);
    for (const [name, make] of Object.entries(claims)) {
      if (wanted !== undefined && !wanted.includes(name)) continue;
      const claim = make();
      const [ours, others]: [Sample[], Sample[]] = [[], []];
      for (let round = 0; round < repeat; round++) {
        ours.push(await claim.ours());
        if (claim.other !== undefined) others.push(await claim.other.measure());
        say(
          `${claim.name} ${round + 1}/${repeat}: ${ours.at(-1)!.tokensPerSecond.toFixed(0)}${others.length > 0 ? ` and ${others.at(-1)!.tokensPerSecond.toFixed(0)}` : ""} tokens/s`,
        );
      }
      process.stdout.write(`${report(claim, ours, others)}\n`);
      results.push({ name: claim.name, goal: claim.goal, ours, others });
    }
    if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(results, undefined, 2));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report({ title, goal, other }: Claim, ours: readonly Sample[], others: readonly Sample[]): string {
  const speed = (samples: readonly Sample[]): number[] => samples.map(({ tokensPerSecond }) => tokensPerSecond);
  const memory = (samples: readonly Sample[]): number[] => samples.map(({ peakMegabytes }) => peakMegabytes);
  const line = (label: string, samples: readonly Sample[]): string => {
    const { median: middle, least, most } = summarize(speed(samples));
    return `  ${label.padEnd(9)} ${middle.toFixed(0).padStart(6)} tokens/s (${least.toFixed(0)} to ${most.toFixed(0)}), ${median(memory(samples)).toFixed(0)} MB`;
  };
  if (other === undefined) return [title, line("frugal", ours)].join("\n");
  const ratios = summarize(pairwiseRatios(speed(ours), speed(others)));
  const lighter = median(memory(ours)) / median(memory(others));
  return [
    title,
    line("ours", ours),
    line(other.label, others),
    `  by rounds ${ratios.median.toFixed(2)}x (${ratios.least.toFixed(2)}x to ${ratios.most.toFixed(2)}x), memory ${lighter.toFixed(2)}x; goal ${goal}`,
  ].join("\n");
}

await main();

/** frugal tune: a model and examples to an adapter or a tuned model. */
import type { TrainingSettings } from "../../training/recipe.ts";
import { scheduleKinds } from "../../training/schedules.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { optimizerNames } from "../../training/update-rules/index.ts";
import { tuningTechnique, tuningTechniques } from "../../techniques/index.ts";
import { tune as startTune, type TuneOptions } from "../../techniques/tune.ts";
import { type Command, type Given, model, type OptionSpec, UsageError } from "../command.ts";
import { hubSettings } from "../hub-settings.ts";
import { runOptions, runTuning } from "../training.ts";

const full = "full";
const preference = "dpo";

const methodOptions: readonly OptionSpec[] = [
  {
    name: "method",
    value: { label: "NAME", kind: [full, preference, ...Object.keys(tuningTechniques)] },
    help: `${full} trains all weights; ${preference} learns preferences by a LoRA; or a technique: ${Object.keys(tuningTechniques).join(", ")} (default: lora)`,
  },
  { name: "rank", value: { label: "N", kind: "integer", least: 1 }, help: "of a low-rank method (default: 8)" },
  { name: "alpha", value: { label: "X", kind: "number" }, help: "what a low-rank method adds is multiplied by alpha / rank (default: 8)" },
  {
    name: "targets",
    value: { label: "NAMES", kind: "text" },
    help: "linears that are tuned: q_proj,v_proj or attention.query, ... or all-linear (default: all-linear)",
  },
  { name: "virtual-tokens", value: { label: "N", kind: "integer", least: 1 }, help: "learned rows of prompt, prefix and p-tuning" },
  {
    name: "option",
    value: { label: "NAME=VALUE", kind: "text" },
    many: true,
    help: "another option of the method, its value as JSON: ratio=16",
  },
  {
    name: "start-from",
    value: { label: "ADAPTER", kind: "text" },
    help: "go on from an adapter; of a LoRA, method and rank are known then",
  },
  {
    name: "beta",
    value: { label: "X", kind: "number" },
    help: `of ${preference}: how closely the model stays to what it was (default: 0.1)`,
  },
];

const stepOptions: readonly OptionSpec[] = [
  { name: "steps", value: { label: "N", kind: "integer", least: 1 }, help: "steps (default: as many as --epochs take)" },
  { name: "epochs", value: { label: "N", kind: "integer", least: 1 }, help: "how often each example is learned (default: 1)" },
  { name: "examples-per-step", value: { label: "N", kind: "integer", least: 1 }, help: "examples that make a step (default: 8)" },
  {
    name: "tokens-per-step",
    value: { label: "N", kind: "integer", least: 2 },
    help: "tokens that make a step, in place of a number of examples",
  },
  {
    name: "rows",
    value: { label: "N", kind: "integer", least: 2 },
    help: "most tokens computed together; longer steps are done in parts (default: 2048)",
  },
  {
    name: "context",
    value: { label: "N", kind: "integer", least: 2 },
    help: "most tokens of an example (default: what the model reads, at most 2048)",
  },
  { name: "order", value: { label: "ORDER", kind: ["file", "shuffled"] }, help: "of the examples: file or shuffled (default: shuffled)" },
  { name: "seed", value: { label: "N", kind: "integer", least: 0 }, help: "of the order and of first numbers (default: 0)" },
  {
    name: "bad-lines",
    value: { label: "WHAT", kind: ["refuse", "skip"] },
    help: "what is done about lines that are no examples (default: refuse)",
  },
  {
    name: "too-long",
    value: { label: "WHAT", kind: ["refuse", "skip", "truncate"] },
    help: "and about examples longer than the context (default: refuse)",
  },
];

const rateOptions: readonly OptionSpec[] = [
  { name: "learning-rate", value: { label: "X", kind: "number" }, help: "(default: 2e-4; with --method full 5e-5)" },
  { name: "schedule", value: { label: "KIND", kind: scheduleKinds }, help: `${scheduleKinds.join(", ")} (default: constant)` },
  { name: "warmup", value: { label: "N", kind: "integer", least: 0 }, help: "steps in which the rate rises from 0 (default: 0)" },
  { name: "optimizer", value: { label: "NAME", kind: optimizerNames }, help: `${optimizerNames.join(", ")} (default: adamw)` },
  { name: "weight-decay", value: { label: "X", kind: "number" }, help: "(default: 0)" },
  { name: "clip", value: { label: "X", kind: "number" }, help: "the largest norm of all gradients together (default: none)" },
  {
    name: "precision",
    value: { label: "TYPE", kind: ["f32", "bf16", "f16"] },
    help: "f32, bf16 or f16: how the way forward is kept for the way back (default: f32)",
  },
  {
    name: "recompute",
    value: { label: "N", kind: "integer", least: 2 },
    help: "cut the forward pass into N parts that are computed twice, to save memory",
  },
  {
    name: "memory",
    value: { label: "SIZE", kind: "text" },
    help: "the most a step may use, like 2GB: as much is computed twice as that asks for (default: no limit)",
  },
];

const lookOptions: readonly OptionSpec[] = [
  {
    name: "eval",
    value: { label: "F.jsonl", kind: "text" },
    many: true,
    help: "examples that are held out; their loss is told after the last step",
  },
  { name: "eval-every", value: { label: "N", kind: "integer", least: 1 }, help: "and after every N steps" },
  {
    name: "patience",
    value: { label: "N", kind: "integer", least: 1 },
    help: "end after N evaluations without a new least loss, with the weights of the least",
  },
  { name: "save-every", value: { label: "N", kind: "integer", least: 1 }, help: "save a checkpoint every N steps (default: 100)" },
];

export const tune: Command = {
  name: "tune",
  summary: "Tunes MODEL to the examples of --data and writes --out: an adapter as PEFT has it, or a whole model.",
  arguments: [model],
  options: [
    { name: "data", value: { label: "F.jsonl", kind: "text" }, many: true, help: "examples, one a line; may be given more than once" },
    { name: "out", value: { label: "DIR", kind: "text" }, help: "the folder for the result, its checkpoints, losses.jsonl and curve.svg" },
    ...methodOptions,
    ...stepOptions,
    ...rateOptions,
    ...lookOptions,
    ...runOptions,
  ],
  notes: [
    'A line is {"messages": [...]}, of which the answers are learned; {"prompt", "completion"}; {"text"}; or {"ids": [...]}.',
    `For --method ${preference} it is {"prompt", "chosen", "rejected"}.`,
  ],
  async run(given) {
    const [source] = given.arguments as readonly [string];
    const out = given.text("out");
    if (!given.flag("data")) throw new UsageError("tune: --data is missing; name a JSONL file of examples");
    if (out === undefined) throw new UsageError("tune: --out is missing; name the folder for the result");
    const technique = techniqueOf(given);
    await runTuning(given, out, (signal, parallel) =>
      startTune(source, given.texts("data"), technique, {
        ...optionsOf(given),
        out,
        signal,
        ...(parallel === undefined ? {} : { parallel }),
      }),
    );
  },
};

/** The method with those of its options that were given; undefined where all is trained, or an adapter says it. */
function techniqueOf(given: Given): TuningTechnique | undefined {
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries({
    rank: given.number("rank"),
    alpha: given.number("alpha"),
    targets: given.text("targets"),
    virtualTokens: given.number("virtual-tokens"),
  }))
    if (value !== undefined) options[name] = value;
  for (const text of given.texts("option")) {
    const [, name, value] = /^([^=]+)=([^]*)$/.exec(text) ?? [];
    if (name === undefined || value === undefined) throw new UsageError(`--option is ${JSON.stringify(text)}; give NAME=VALUE`);
    options[name] = jsonOrText(value);
  }
  const method = given.text("method");
  const stray = Object.keys(options)[0];
  if (method === full) {
    if (stray === undefined) return undefined;
    throw new UsageError(
      `tune: --method ${full} trains all weights, so ${stray} has nothing to say; leave it out or choose another method`,
    );
  }
  if (method === undefined && stray === undefined && given.text("start-from") !== undefined) return undefined;
  return tuningTechnique(method === undefined || method === preference ? "lora" : method, options);
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Only what was given: the rest is for `tune` to say. */
function optionsOf(given: Given): TuneOptions {
  const backend = given.text("backend");
  if (given.text("method") !== preference && given.flag("beta"))
    throw new UsageError(`tune: --beta belongs to --method ${preference}; leave it out`);
  const settings: { readonly [Name in keyof TrainingSettings]: TrainingSettings[Name] | undefined } = {
    steps: given.number("steps"),
    epochs: given.number("epochs"),
    examplesPerStep: given.number("examples-per-step"),
    tokensPerStep: given.number("tokens-per-step"),
    rows: given.number("rows"),
    context: given.number("context"),
    order: given.text("order") as TrainingSettings["order"],
    seed: given.number("seed"),
    badLines: given.text("bad-lines") as TrainingSettings["badLines"],
    tooLong: given.text("too-long") as TrainingSettings["tooLong"],
    learningRate: given.number("learning-rate"),
    schedule: given.text("schedule") as TrainingSettings["schedule"],
    warmUpSteps: given.number("warmup"),
    optimizer: given.text("optimizer"),
    weightDecay: given.number("weight-decay"),
    clip: given.number("clip"),
    precision: given.text("precision") as TrainingSettings["precision"],
    recompute: given.number("recompute"),
    memory: given.text("memory"),
    evaluateEvery: given.number("eval-every"),
    patience: given.number("patience"),
    saveEvery: given.number("save-every"),
    preference: given.text("method") !== preference ? undefined : given.flag("beta") ? { beta: given.number("beta")! } : {},
  };
  const more = {
    evaluation: given.flag("eval") ? given.texts("eval") : undefined,
    startFrom: given.text("start-from"),
    resume: given.flag("resume") ? true : undefined,
    backend: backend as TuneOptions["backend"],
    threads: given.number("threads"),
    hub: hubSettings(),
  };
  return Object.fromEntries(Object.entries({ ...settings, ...more }).filter(([, value]) => value !== undefined)) as TuneOptions;
}

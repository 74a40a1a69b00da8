/** Whole tunings on tiny models: what comes out is what was trained, whatever the technique; and what goes wrong is said. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pack, reference, tinyModel } from "../../testing/training.ts";
import { load } from "../serving/model.ts";
import { openModel } from "../models/index.ts";
import { openCheckpoint, type OpenedCheckpoint } from "../models/open-checkpoint.ts";
import { withLoss } from "../training/loss.ts";
import type { TuningTechnique } from "../training/technique.ts";
import type { Trainable } from "../training/trainable.ts";
import { techniques, tuningTechniques } from "./index.ts";
import { tune, type TuneOptions } from "./tune.ts";
import { hasPeftFile } from "./tuned-adapter.ts";
import { openAdaptedModel } from "./tuning/open-adapter.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "frugal-tune-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rows = [{ ids: [5, 9, 40, 77, 12, 8] }, { ids: [60, 7, 22, 90] }, { ids: [3, 3, 17, 29, 101] }];
const scored = pack(
  rows.map(({ ids }) => ids),
  ["all"],
);
const options = { backend: reference, steps: 3, examplesPerStep: 2, learningRate: 0.01, order: "file" } as const satisfies TuneOptions;
const place = (name: string): string => join(folder, name);

/** The mean loss of the rows by a model's own graph. */
async function lossOf({ graph, weights }: Pick<Trainable, "graph" | "weights">): Promise<number> {
  const loaded = await reference.load({ loss: withLoss(graph) }, weights, { caps: scored.symbols });
  const { loss } = await loaded.run({ program: "loss", symbols: scored.symbols, inputs: scored.inputs });
  await loaded.dispose();
  return loss![0]!;
}

/** The loss by what lies in a folder: a model, or an adapter of `model`. */
async function writtenLoss(path: string, model: string, isAdapter: boolean): Promise<number> {
  const opened = await openCheckpoint(isAdapter ? model : path);
  const found = isAdapter ? await openAdaptedModel(path, opened.checkpoint) : openModel(opened.checkpoint);
  const loss = await lossOf({ graph: found.graphs()["score"]!, weights: found.weights });
  await opened.close();
  return loss;
}

const withRows = new Set(["prompt", "prefix", "p-tuning"]);
const outside = Object.entries(tuningTechniques).filter(([name, { make, example }]) => hasPeftFile(make(example)) && !withRows.has(name));

describe("what is written", () => {
  test.each(outside)("%s: the adapter gives the loss that the training ended with", async (name, { make, example }) => {
    const out = place(`adapter-${name}`);
    const { evaluations, losses } = await tune(tinyModel, rows, make(example), { ...options, out, evaluation: rows });
    expect(losses.at(-1)!).toBeLessThan(losses[0]! + 1);
    // AdaLoRA's loss has its penalty.
    if (name === "adalora") return;
    // QLoRA learned over a coarser base than the one that it is put on here.
    const tolerance = name === "qlora" ? 1e-2 : 1e-4;
    expect(Math.abs((await writtenLoss(out, tinyModel, true)) - evaluations.at(-1)!.loss)).toBeLessThan(tolerance);
  });

  test.each([
    ["a directory", tinyModel],
    ["a GGUF file", join(tinyModel, "llama-3.gguf")],
  ])("full, from %s: a model that opens and has the loss", async (kind, model) => {
    const out = place(`full-${kind.slice(-4)}`);
    const { evaluations, trainableParameters } = await tune(model, rows, undefined, { ...options, out, evaluation: rows });
    expect(Math.abs((await writtenLoss(out, model, false)) - evaluations.at(-1)!.loss)).toBeLessThan(1e-4);
    await using loaded = await load(out, { backend: reference });
    expect(loaded.inspect().parameters).toBe(trainableParameters);
    expect((await loaded.tokenizer()).encode("the").length).toBeGreaterThan(0);
  });

  test("selective techniques write whole models too, the rest as it was", async () => {
    const out = place("bitfit");
    await tune(tinyModel, rows, techniques.selective({ layers: [1] }), { ...options, out });
    const [before, after] = await Promise.all([openCheckpoint(tinyModel), openCheckpoint(out)]);
    const bytes = async (opened: OpenedCheckpoint, tensor: string): Promise<{ readonly format: string; readonly bytes: Uint8Array }> => {
      const { source, offset, byteLength, format } = opened.checkpoint.tensors.get(tensor)!;
      return { format: format.name, bytes: await source.read(offset, byteLength) };
    };
    const name = (layer: number): string => `model.layers.${layer}.mlp.up_proj.weight`;
    expect(await bytes(after, name(0))).toEqual(await bytes(before, name(0)));
    expect((await bytes(after, name(1))).format).toBe("F32");
    await Promise.all([before.close(), after.close()]);
  });

  test("without a folder the result has the weights", async () => {
    const { weights, trainableParameters } = await tune(tinyModel, rows, techniques.lora({ rank: 2, targets: "q_proj" }), options);
    expect([...weights.keys()].every((name) => /attention\.query\.lora[AB]$/.test(name))).toBe(true);
    expect([...weights.values()].reduce((sum, { length }) => sum + length, 0)).toBe(trainableParameters);
  });

  test("a loaded model is tuned as the one it was loaded from", async () => {
    await using model = await load(tinyModel, { backend: reference });
    const [named, loaded] = [await tune(tinyModel, rows, techniques.lora(), options), await tune(model, rows, techniques.lora(), options)];
    expect(loaded.losses).toEqual(named.losses);
  });
});

describe("going on", () => {
  const withLora = (): TuningTechnique | undefined => techniques.lora();
  const withNone = (): TuningTechnique | undefined => undefined;
  const long = { ...options, steps: 6, schedule: "linear" } as const;

  test.each([
    ["LoRA", withLora, {}],
    ["all weights, in parts", withNone, { rows: 8 }],
    ["shuffled, by length", withLora, { order: "shuffled", examplesPerStep: undefined, tokensPerStep: 12 }],
    ["LOMO", withNone, { optimizer: "lomo" }],
    ["MeZO", withLora, { optimizer: "mezo" }],
  ] as const)("%s: aborted and resumed, the losses are those of one training", async (name, technique, more) => {
    const all = Object.fromEntries(Object.entries({ ...long, ...more }).filter(([, value]) => value !== undefined)) as TuneOptions;
    const whole = await tune(tinyModel, rows, technique(), all);
    const out = place(`resume-${name}`);
    const controller = new AbortController();
    const first = tune(tinyModel, rows, technique(), { ...all, out, signal: controller.signal });
    const following = (async () => {
      for await (const { step } of first) if (step === 2) controller.abort();
    })();
    await expect(following).rejects.toMatchObject({ name: "AbortError" });
    const { losses } = await tune(tinyModel, rows, technique(), { ...all, out, resume: true });
    expect(losses).toEqual(whole.losses);
  });

  test("a preference training is compared with the model before the first step, also after a resumption", async () => {
    const pairs = [{ prompt: "the", chosen: " the the", rejected: " a" }];
    const settings = { ...long, preference: { beta: 0.3 } };
    const whole = await tune(tinyModel, pairs, techniques.lora(), settings);
    expect(whole.losses[0]).toBeCloseTo(Math.LN2, 6);
    const out = place("resume-preference");
    const controller = new AbortController();
    const first = tune(tinyModel, pairs, techniques.lora(), { ...settings, out, signal: controller.signal });
    for await (const { step } of first) if (step === 2) break;
    await expect(first).rejects.toThrow();
    expect((await tune(tinyModel, pairs, techniques.lora(), { ...settings, out, resume: true })).losses).toEqual(whole.losses);
  });

  test("more steps at a constant rate, but not under a falling one", async () => {
    const out = place("longer");
    await tune(tinyModel, rows, techniques.lora(), { ...options, out });
    expect((await tune(tinyModel, rows, techniques.lora(), { ...options, steps: 5, out, resume: true })).losses).toHaveLength(5);
    const falling = place("falling");
    await tune(tinyModel, rows, techniques.lora(), { ...long, out: falling });
    await expect(tune(tinyModel, rows, techniques.lora(), { ...long, steps: 9, out: falling, resume: true })).rejects.toThrow(
      /had steps 6, this one has 9/,
    );
  });

  test("an adapter is a start: its technique is known, and its loss the first", async () => {
    const out = place("start");
    const technique = techniques.lora({ rank: 2, alpha: 6, targets: "attention.query,mlp.up", rankPattern: { "layers.0.mlp.up": 3 } });
    const { evaluations } = await tune(tinyModel, rows, technique, { ...options, out, evaluation: rows });
    const further = await tune(tinyModel, rows, undefined, { ...options, examplesPerStep: 3, startFrom: out });
    expect(Math.abs(further.losses[0]! - evaluations.at(-1)!.loss)).toBeLessThan(1e-5);
    await expect(tune(tinyModel, rows, techniques.lora({ rank: 4 }), { ...options, startFrom: out })).rejects.toThrow(
      /start with the technique and the options that it was made with/,
    );
    const vera = place("start-vera");
    await tune(tinyModel, rows, techniques.vera({ rank: 4 }), { ...options, out: vera });
    await expect(tune(tinyModel, rows, undefined, { ...options, startFrom: vera })).rejects.toThrow(/does not say which technique made it/);
    const again = await tune(tinyModel, rows, techniques.vera({ rank: 4 }), { ...options, startFrom: vera, seed: 3 });
    expect(again.losses[0]).toBeLessThan(6);
  });
});

describe("settings", () => {
  const losses = async (more: TuneOptions): Promise<readonly number[]> =>
    (await tune(tinyModel, rows, techniques.lora(), { ...options, ...more })).losses;
  const usual = losses({});

  test.each([
    ["learningRate", { learningRate: 0.02 }],
    ["schedule", { schedule: "cosine" }],
    ["warmUpSteps", { warmUpSteps: 2 }],
    ["optimizer", { optimizer: "sgd" }],
    ["options of the optimizer", { optimizer: { name: "adamw", betas: [0.5, 0.9] } }],
    ["weightDecay", { weightDecay: 5 }],
    ["clip", { clip: 0.01, optimizer: "sgd" }],
    ["order", { order: "shuffled", seed: 1 }],
    ["seed", { seed: 9 }],
    ["examplesPerStep", { examplesPerStep: 1 }],
    ["tokensPerStep", { examplesPerStep: undefined, tokensPerStep: 16 }],
    ["context", { context: 4, tooLong: "truncate" }],
    ["preference", { preference: {} }],
  ] as const)("%s changes the losses", async (name, more) => {
    const given = Object.fromEntries(Object.entries({ ...options, ...more }).filter(([, value]) => value !== undefined)) as TuneOptions;
    const data = name === "preference" ? [{ prompt: "a", chosen: " the", rejected: " a" }] : rows;
    expect((await tune(tinyModel, data, techniques.lora(), given)).losses).not.toEqual(await usual);
  });

  test.each(["bf16", "f16"] as const)("precision %s keeps less of the numbers, and learns as much", async (precision) => {
    const found = await losses({ precision });
    expect(found).not.toEqual(await usual);
    for (const [i, loss] of found.entries()) expect(Math.abs(loss - (await usual)[i]!)).toBeLessThan(0.02);
  });

  test("floor: a falling rate ends above nothing", async () => {
    const falling = { schedule: "linear", steps: 4 } as const;
    expect(await losses({ ...falling, floor: 0.9 })).not.toEqual(await losses(falling));
  });

  test.each([
    ["rows", { rows: 8 }],
    ["recompute", { recompute: 2 }],
    ["memory", { memory: "1GB" }],
  ])("%s changes memory, not the losses", async (_, more) => {
    for (const [i, loss] of (await losses(more)).entries()) expect(Math.abs(loss - (await usual)[i]!)).toBeLessThan(1e-5);
  });

  test("epochs count the steps where none are given", async () => {
    const { steps: _, ...rest } = options;
    const run = async (epochs?: number) =>
      (await tune(tinyModel, rows, techniques.lora(), { ...rest, ...(epochs === undefined ? {} : { epochs }) })).steps;
    expect([await run(), await run(2)]).toEqual([2, 3]);
  });

  test("evaluateEvery and patience", async () => {
    const evaluation = [{ ids: [90, 80, 70] }];
    const run = (more: TuneOptions) =>
      tune(tinyModel, rows, techniques.lora(), { ...options, steps: 30, learningRate: 0.05, evaluation, ...more });
    expect((await run({ steps: 4 })).evaluations.map(({ step }) => step)).toEqual([4]);
    expect((await run({ steps: 4, evaluateEvery: 2 })).evaluations.map(({ step }) => step)).toEqual([2, 4]);
    const stopped = await run({ evaluateEvery: 1, patience: 2 });
    expect(stopped).toMatchObject({ endedBy: "patience", bestStep: stopped.steps - 2 });
  });

  test("bad lines and long examples are refused, or left out and counted", async () => {
    const data = place("bad.jsonl");
    writeFileSync(data, `${JSON.stringify(rows[0])}\n{"ids": [1, 2\n${JSON.stringify(rows[1])}\n`);
    await expect(tune(tinyModel, data, techniques.lora(), options)).rejects.toThrow(/bad\.jsonl: line 2, column \d+/);
    expect((await tune(tinyModel, data, techniques.lora(), { ...options, badLines: "skip" })).data).toMatchObject({
      badLines: 1,
      examples: 2,
    });
    await expect(tune(tinyModel, rows, techniques.lora(), { ...options, context: 4 })).rejects.toThrow(
      /examples line 1.* 6 tokens, more than the 4/,
    );
    expect((await tune(tinyModel, rows, techniques.lora(), { ...options, context: 4, tooLong: "skip" })).data).toMatchObject({
      skippedLong: 2,
      examples: 1,
    });
  });
});

describe("what cannot be", () => {
  const lora = techniques.lora();
  const refused: readonly (readonly [string, () => PromiseLike<unknown>, RegExp])[] = [
    ["no rows", () => tune(tinyModel, [], lora, options), /nothing to learn from/],
    ["a row that is nothing", () => tune(tinyModel, [null as never], lora, options), /examples: line 1/],
    ["no such file", () => tune(tinyModel, "nowhere.jsonl", lora, options), /nowhere\.jsonl: cannot open it/],
    ["an id beyond the vocabulary", () => tune(tinyModel, [{ ids: [1, 5000] }], lora, options), /5000, but the vocabulary has 131/],
    ["an unknown option", () => tune(tinyModel, rows, lora, { ...options, learningrate: 1 } as TuneOptions), /did you mean learningRate/],
    [
      "a number out of range",
      () => tune(tinyModel, rows, lora, { ...options, steps: 0 }),
      /tune: steps is 0; give a whole number from 1 on/,
    ],
    [
      "an unknown optimizer",
      () => tune(tinyModel, rows, lora, { ...options, optimizer: "adm" }),
      /did you mean "adamw"|optimizer is "adm"/,
    ],
    ["rank 0", async () => tune(tinyModel, rows, techniques.lora({ rank: 0 }), options), /rank is 0/],
    ["targets that are none", () => tune(tinyModel, rows, techniques.lora({ targets: "q_prj" }), options), /q_prj/],
    ["an encoder", () => tune(join(tinyModel, "../bert"), rows, lora, options), /is an encoder and writes no text/],
    ["patience without evaluation", () => tune(tinyModel, rows, lora, { ...options, patience: 1 }), /patience needs evaluation examples/],
    ["two sizes of steps", () => tune(tinyModel, rows, lora, { ...options, tokensPerStep: 9 }), /give one of them/],
    [
      "more warm-up than steps",
      () => tune(tinyModel, rows, lora, { ...options, warmUpSteps: 9 }),
      /warmUpSteps is 9, more than the 3 steps/,
    ],
    [
      "the model's own folder",
      () => tune(tinyModel, rows, lora, { ...options, out: tinyModel }),
      /is the model that is tuned; write the result elsewhere/,
    ],
    ["clip without gradients", () => tune(tinyModel, rows, lora, { ...options, optimizer: "mezo", clip: 1 }), /computes no gradients/],
    [
      "an adapter of another base",
      () => tune(join(tinyModel, "../qwen-3"), rows, undefined, { ...options, startFrom: place("start") }),
      /another base/,
    ],
    [
      "a rate that ruins the weights",
      () => tune(tinyModel, rows, lora, { ...options, steps: 30, learningRate: 1e30 }),
      /whose examples are examples line/,
    ],
  ];

  test.each(refused)("%s", async (_, run, message) => {
    await expect(run()).rejects.toThrow(message);
  });
});

test("losses.jsonl and the curve lie beside the result", async () => {
  const out = place("beside");
  const { losses } = await tune(tinyModel, rows, techniques.lora(), { ...options, out });
  const lines = readFileSync(join(out, "losses.jsonl"), "utf8").trimEnd().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { loss: number }).loss)).toEqual(losses);
  expect(readFileSync(join(out, "curve.svg"), "utf8")).toMatch(/^<svg /);
});

describe("without a folder", () => {
  test.each(["lora", "dora", "ia3"])("%s: the adapter's files are those that a folder gets", async (name) => {
    const { make, example } = tuningTechniques[name]!;
    const out = place(`beside-${name}`);
    const written = await tune(tinyModel, rows, make(example), { ...options, out });
    const kept = await tune(tinyModel, rows, make(example), options);
    const files = await kept.adapter();
    expect(files["adapter_config.json"]).toBe(readFileSync(join(out, "adapter_config.json"), "utf8"));
    expect(Buffer.compare(files["adapter_model.safetensors"], readFileSync(join(out, "adapter_model.safetensors")))).toBe(0);
    await expect(written.adapter()).rejects.toThrow(/the adapter is in .*, not in memory/);
  });

  test.each([
    ["full", undefined, /all weights together are no adapter of PEFT's/],
    ["adapters", techniques.adapters({}), /what "adapters" trains is no adapter of PEFT's; read the result's weights/],
  ])("%s: there is no adapter, but the weights", async (_, technique, message) => {
    const result = await tune(tinyModel, rows, technique, options);
    expect(result.weights.size).toBeGreaterThan(0);
    await expect(result.adapter()).rejects.toThrow(message);
  });
});

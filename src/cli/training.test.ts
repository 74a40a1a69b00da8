/** Training in processes of their own: killed, resumed, refused, in parallel; and what the commands print. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandLine, compileCommandLine } from "../../testing/command-line.ts";
import { tinyModel } from "../../testing/training.ts";

let frugal: CommandLine;
let data: string;
beforeAll(() => {
  frugal = compileCommandLine();
  data = join(frugal.folder, "data.jsonl");
  const rows = Array.from({ length: 12 }, (_, i) => ({
    ids: Array.from({ length: 6 + (i % 3) }, (__, j) => 3 + ((i * 7 + j * 11) % 100)),
  }));
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});
afterAll(() => frugal.remove());

const place = (name: string): string => join(frugal.folder, name);
const settings = ["--backend", "reference", "--learning-rate", "0.01", "--examples-per-step", "2", "--json"];
const usual = (out: string, ...more: string[]): string[] => ["tune", tinyModel, "--data", data, "--out", place(out), ...settings, ...more];

async function json(args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await frugal.run(args);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  return JSON.parse(stdout) as Record<string, unknown>;
}

const start = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, [join(frugal.folder, "bin/frugal"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => child.on("close", (code) => resolve(code)));
const stepsIn = (out: string): number =>
  existsSync(join(place(out), "losses.jsonl")) ? readFileSync(join(place(out), "losses.jsonl"), "utf8").split("\n").length - 1 : 0;

async function until(condition: () => boolean): Promise<void> {
  const limit = Date.now() + 25_000;
  while (!condition()) {
    if (Date.now() > limit) throw new Error("it did not come to pass");
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}

describe("tune", () => {
  test("prints losses, one a step, and what it took", async () => {
    const report = await json(usual("json", "--steps", "3", "--rank", "2", "--alpha", "4", "--targets", "q_proj,v_proj"));
    expect(Object.keys(report)).toEqual(["losses", "trainable_parameters", "tokens_per_second", "peak_rss_bytes", "ended_by", "out"]);
    expect(report["losses"]).toHaveLength(3);
    expect(report["trainable_parameters"]).toBe(3 * (2 * (32 + 64) + 2 * (32 + 32)));
    expect(report["out"]).toBe(place("json"));
    expect(readdirSync(place("json")).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "checkpoints",
      "curve.svg",
      "losses.jsonl",
    ]);
    const tuned = await json(["logits", tinyModel, "--adapter", place("json"), "--ids", "5,9", "--backend", "reference", "--json"]);
    const plain = await json(["logits", tinyModel, "--ids", "5,9", "--backend", "reference", "--json"]);
    expect(tuned["rows"]).not.toEqual(plain["rows"]);
  });

  test("tells people about data that was left out, on stderr", async () => {
    const bad = place("bad.jsonl");
    writeFileSync(bad, `{"ids": [1, 2, 3]}\nnonsense\n`);
    const args = ["tune", tinyModel, "--data", bad, "--out", place("bad"), "--steps", "1", "--backend", "reference"];
    expect(await frugal.run(args)).toMatchObject({ code: 1, stderr: expect.stringMatching(/bad\.jsonl: line 2, column 1: /) });
    expect(existsSync(place("bad/losses.jsonl"))).toBe(false);
    const skipped = await frugal.run([...args, "--bad-lines", "skip"]);
    expect(skipped).toMatchObject({ code: 0, stderr: expect.stringMatching(/1 of 2 lines are bad and left out: bad\.jsonl: line 2/) });
    expect(skipped.stdout).toMatch(/^1 steps, loss [\d.]+ -> [\d.]+; \d+ parameters trained at/);
  });

  test("workers share the steps, to the same losses", async () => {
    const [one, two] = [await json(usual("one", "--steps", "3")), await json(usual("two", "--steps", "3", "--workers", "2"))];
    for (const [i, loss] of (two["losses"] as number[]).entries())
      expect(Math.abs(loss - (one["losses"] as number[])[i]!)).toBeLessThan(1e-5);
  });
});

describe("a process that dies", () => {
  const args = (out: string, ...more: string[]): string[] =>
    usual(out, "--steps", "40", "--schedule", "cosine", "--save-every", "1", ...more);

  test("killed at any moment and resumed, the losses are those of one training, bit by bit", async () => {
    const whole = (await json(args("whole")))["losses"];
    for (const at of [2, 9, 23]) {
      const child = start(args("killed", ...(at === 2 ? [] : ["--resume"])));
      await until(() => stepsIn("killed") >= at);
      child.kill("SIGKILL");
      await ended(child);
      expect(stepsIn("killed")).toBeLessThan(40);
    }
    const { code, stderr } = await frugal.run(args("killed"));
    expect([code, stderr]).toEqual([1, expect.stringMatching(/holds a training that was cut off after step \d+; resume it/)]);
    expect((await json(args("killed", "--resume")))["losses"]).toEqual(whole);
    expect(readdirSync(place("killed")).sort()).toEqual(readdirSync(place("whole")).sort());
    expect(readFileSync(place("killed/adapter_model.safetensors"))).toEqual(readFileSync(place("whole/adapter_model.safetensors")));
  });

  test("ctrl-C saves, so that nothing is lost; meanwhile a second process is refused", async () => {
    const child = start(usual("stopped", "--steps", "400", "--save-every", "1000"));
    await until(() => stepsIn("stopped") >= 3);
    const second = await frugal.run(usual("stopped", "--steps", "400"));
    expect([second.code, second.stdout]).toEqual([1, ""]);
    expect(second.stderr).toContain(`is being written by the training in process ${child.pid}`);
    child.kill("SIGINT");
    expect(await ended(child)).toBe(1);
    const done = stepsIn("stopped");
    expect(done).toBeLessThan(400);
    expect(readdirSync(place("stopped/checkpoints"))).toEqual([`step-${String(done).padStart(6, "0")}.safetensors`]);
  });
});

describe("train", () => {
  const config = {
    model_type: "llama",
    vocab_size: 280,
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: "silu",
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 0,
  };

  test("begins anew, with a tokenizer of its own; what comes out runs", async () => {
    const folder = place("recipe");
    mkdirSync(folder);
    const texts = Array.from({ length: 30 }, (_, i) => `Once upon a time there was cat ${i}. The cat sat on the mat and it was glad.`);
    writeFileSync(join(folder, "texts.txt"), texts.join("\n---\n"));
    const recipe = {
      model: { config, tokenizer: { vocabulary: 280, bos: "<|end|>", eos: "<|end|>" } },
      data: { file: "texts.txt", separator: "---" },
      evaluation: { file: "texts.txt", separator: "---" },
      out: "built",
      steps: 6,
      tokensPerStep: 128,
      schedule: "cosine",
      warmUpSteps: 1,
      clip: 1,
    };
    const path = join(folder, "recipe.json");
    writeFileSync(path, JSON.stringify(recipe));
    const report = await json(["train", path, "--backend", "reference", "--json"]);
    const losses = report["losses"] as number[];
    expect(losses).toHaveLength(6);
    expect(losses[0]!).toBeGreaterThan(5);
    expect(losses[5]!).toBeLessThan(losses[0]!);
    expect(report["evaluations"]).toMatchObject([{ step: 6 }]);
    const written = await json(["run", join(folder, "built"), "Once", "--max-tokens", "4", "--backend", "reference", "--json"]);
    expect(written["ids"]).toHaveLength(4);
    const again = await json(["train", path, "--out", place("elsewhere"), "--backend", "reference", "--json"]);
    expect(again["losses"]).toEqual(losses);
  });

  test("tunes what is there", async () => {
    const path = place("tune.json");
    writeFileSync(
      path,
      JSON.stringify({ model: tinyModel, data: ["data.jsonl"], technique: { name: "lora", rank: 2 }, steps: 2, seed: 3 }),
    );
    const { losses } = await json(["train", path, "--out", place("by-recipe"), "--backend", "reference", "--json"]);
    const options = ["--steps", "2", "--seed", "3", "--rank", "2", "--backend", "reference", "--json"];
    expect(losses).toEqual((await json(["tune", tinyModel, "--data", data, "--out", place("by-options"), ...options]))["losses"]);
  });

  test.each([
    ["no JSON", "{", /recipe-bad\.json: line 1, column 2/],
    ["an unknown key", JSON.stringify({ model: "m", data: "d", stps: 1 }), /stps is not known; did you mean steps\?/],
    ["no such data", JSON.stringify({ model: tinyModel, data: "none.jsonl", out: "x" }), /none\.jsonl: cannot open it/],
    [
      "a vocabulary too small",
      JSON.stringify({ model: { config: { ...config, vocab_size: 9 }, tokenizer: tinyModel }, data: "data.jsonl", out: "x" }),
      /vocab_size is 9, but the tokenizer has \d+ pieces/,
    ],
    [
      "a configuration that lacks something",
      JSON.stringify({ model: { config: { model_type: "llama" } }, data: "data.jsonl", out: "x" }),
      /hidden_size/,
    ],
  ])("%s fails with a message", async (_, recipe, message) => {
    writeFileSync(place("recipe-bad.json"), recipe);
    const { code, stdout, stderr } = await frugal.run([
      "train",
      place("recipe-bad.json"),
      "--out",
      place("none"),
      "--backend",
      "reference",
    ]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });
});

test.each([
  [["tune", "m", "--out", "x"], "--data is missing"],
  [["tune", "m", "--data", "x"], "--out is missing"],
  [["tune", "m", "--data", "x", "--out", "y", "--rank", "0"], "the least is 1"],
  [["tune", "m", "--data", "x", "--out", "y", "--method", "lroa"], "Did you mean lora?"],
  [["tune", "m", "--data", "x", "--out", "y", "--method", "full", "--rank", "2"], "rank has nothing to say"],
  [["tune", "m", "--data", "x", "--out", "y", "--beta", "1"], "--beta belongs to --method dpo"],
  [["tune", "m", "--data", "x", "--out", "y", "--option", "ratio"], "give NAME=VALUE"],
  [["tune", "m", "--data", "x", "--out", "y", "--learning-rat", "1"], "Did you mean --learning-rate?"],
])("%j is wrong usage", async (args, message) => {
  const { code, stdout, stderr } = await frugal.run(args);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain(message);
});

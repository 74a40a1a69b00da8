import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Kept, TrainingState } from "./checkpoint.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { lockFolder } from "./lock.ts";
import { expectSpace, openRunFolder, type RunFolder, type RunFolderOptions } from "./run-folder.ts";
import type { TrainingProgress } from "./run.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "frugal-folder-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (more: Partial<RunFolderOptions> = {}): Promise<RunFolder> =>
  openRunFolder({ path: folder, settings: { seed: 1 }, resume: false, every: 1, keep: 2, bytes: { checkpoint: 8, others: 8 }, ...more });
const kept = (numbers: readonly number[]): Kept => ({
  sizes: new Map([["w", numbers.length]]),
  read: async () => Float32Array.from(numbers),
});
const progress = (step: number): TrainingProgress => ({
  step,
  steps: 9,
  loss: 1 / step,
  rate: 0.1,
  gradientNorm: 2,
  tokens: 5,
  tokensPerSecond: 100,
  secondsLeft: 1,
});
const state = (step: number, ended = false): TrainingState => ({ step, data: { at: step }, ended });
const checkpoints = (): string[] => readdirSync(join(folder, "checkpoints")).sort();

/** Steps 1 to `count`, each recorded and saved. */
async function run(
  count: number,
  { ended = false, ...more }: Partial<RunFolderOptions> & { readonly ended?: boolean } = {},
): Promise<void> {
  const store = await open(more);
  for (let step = 1; step <= count; step++) {
    await store.record(progress(step));
    await store.save(state(step, ended && step === count), kept([step]));
  }
  await store.finish();
  await store.close();
}

describe("checkpoints", () => {
  test("hold what was given, and the best weights", async () => {
    const path = join(folder, "c.safetensors");
    const best = { step: 3, loss: 0.5, failures: 1, weights: new Map([["w", Float32Array.of(9, 8)]]) };
    await writeCheckpoint(path, { ...state(4), best }, kept([1.5, -2]), { seed: 7 });
    const { state: read, kept: weights, settings, close } = await readCheckpoint(path);
    expect(read).toEqual({ step: 4, data: { at: 4 }, ended: false, best });
    expect([...weights.sizes]).toEqual([["w", 2]]);
    expect(await weights.read("w")).toEqual(Float32Array.of(1.5, -2));
    expect(settings).toEqual({ seed: 7 });
    await expect(weights.read("x")).rejects.toThrow(/has no weight "x"/);
    await close();
  });

  test.each([NaN, Infinity])("%s in a weight is not saved, and nothing is left", async (number) => {
    const path = join(folder, "c.safetensors");
    await expect(writeCheckpoint(path, state(1), kept([1, number]), {})).rejects.toMatchObject({ code: "FRUGAL_NUMERIC" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("only the newest are kept", async () => {
    await run(5, { keep: 2 });
    expect(checkpoints()).toEqual(["step-000004.safetensors", "step-000005.safetensors"]);
    await run(4, { keep: 3, path: join(folder, "b") });
    expect(readdirSync(join(folder, "b/checkpoints"))).toHaveLength(3);
  });

  test.each([
    ["cut off", (bytes: Buffer) => bytes.subarray(0, bytes.length - 2)],
    ["something else", () => Buffer.from("not a checkpoint")],
    ["empty", () => Buffer.alloc(0)],
  ])("a checkpoint that is %s is refused by name", async (_, spoil) => {
    await run(1);
    const path = join(folder, "checkpoints/step-000001.safetensors");
    writeFileSync(path, spoil(readFileSync(path)));
    await expect(open({ resume: true })).rejects.toMatchObject({ code: "FRUGAL_BAD_FILE", message: expect.stringContaining(path) });
  });

  test("a safetensors file of something else is refused", async () => {
    await run(1);
    const other = join(import.meta.dirname, "../../testing/fixtures/families/llama-3/model.safetensors");
    const path = join(folder, "checkpoints/step-000001.safetensors");
    rmSync(path);
    symlinkSync(other, path);
    await expect(open({ resume: true })).rejects.toThrow(/it is no checkpoint of a training/);
  });

  test("what a killed process left half-written goes away", async () => {
    await run(1);
    writeFileSync(join(folder, "checkpoints/step-000002.safetensors.0123abcd.part"), "half");
    writeFileSync(join(folder, "curve.svg.0123abcd.part"), "half");
    const again = await open({ resume: true });
    expect(again.resumed!.state.step).toBe(1);
    await again.close();
    expect(checkpoints()).toEqual(["step-000001.safetensors"]);
    expect(readdirSync(folder).some((name) => name.endsWith(".part"))).toBe(false);
  });
});

describe("the history", () => {
  test("is one line a step; steps after the checkpoint are forgotten", async () => {
    const store = await open();
    for (const step of [1, 2, 3]) await store.record(progress(step));
    await store.save(state(2), kept([1]));
    await store.close();
    writeFileSync(join(folder, "losses.jsonl"), '{"step":4,"los', { flag: "a" });
    const again = await open({ resume: true });
    expect(again.resumed!.history.map(({ step, loss }) => [step, loss])).toEqual([
      [1, 1],
      [2, 1 / 2],
    ]);
    await again.record(progress(3));
    await again.close();
    const lines = readFileSync(join(folder, "losses.jsonl"), "utf8").trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { step: number }).step)).toEqual([1, 2, 3]);
    expect(JSON.parse(lines[2]!)).toEqual({ step: 3, loss: 1 / 3, rate: 0.1, gradient_norm: 2, tokens: 5, tokens_per_second: 100 });
  });

  test.each(["", "[]\n[]\n", '{"step":1}\n{"step":2}\n'])("a file that does not hold the steps is refused: %j", async (text) => {
    await run(2);
    writeFileSync(join(folder, "losses.jsonl"), text);
    await expect(open({ resume: true })).rejects.toMatchObject({ code: "FRUGAL_BAD_FILE" });
  });
});

describe("what is wrong is said before anything is computed", () => {
  test("no space", async () => {
    await expect(expectSpace(folder, 2 ** 60)).rejects.toMatchObject({
      code: "FRUGAL_NO_SPACE",
      message: expect.stringMatching(/will write \d+ MB there, but \d+ MB are free/),
    });
    await expect(open({ bytes: { checkpoint: 2 ** 58, others: 0 } })).rejects.toMatchObject({ code: "FRUGAL_NO_SPACE" });
    // And the folder is free again.
    await (await open()).close();
  });

  test("a folder that cannot be written", async () => {
    writeFileSync(join(folder, "file"), "");
    await expect(open({ path: join(folder, "file/out") })).rejects.toMatchObject({ message: expect.stringContaining("file/out") });
    await expect(open({ path: join(folder, "x".repeat(300)) })).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT" });
  });

  test("nothing to resume from", async () => {
    await expect(open({ resume: true })).rejects.toMatchObject({ code: "FRUGAL_NOT_FOUND" });
  });

  test("a training that was cut off is not overwritten; one that ended is", async () => {
    await run(2);
    await expect(open()).rejects.toThrow(
      /holds a training that was cut off after step 2; resume it, remove .*checkpoints, or write elsewhere/,
    );
    await run(2, { path: join(folder, "b"), ended: true });
    await (await open({ path: join(folder, "b") })).close();
    expect(readdirSync(join(folder, "b/checkpoints"))).toEqual([]);
  });

  test("other settings", async () => {
    await run(1, { settings: { seed: 1, learningRate: 0.1 } });
    await expect(open({ resume: true, settings: { seed: 1, learningRate: 0.2 } })).rejects.toThrow(
      /its training had learningRate 0.1, this one has 0.2; resume with the same/,
    );
    await expect(open({ resume: true, settings: { seed: 1 } })).rejects.toThrow(/learningRate 0.1, this one has absent/);
    await (await open({ resume: true, settings: { learningRate: 0.1, seed: 1 } })).close();
  });
});

describe("one process at a time", () => {
  test("a second one is refused, and told which", async () => {
    const first = await open();
    await expect(open()).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT", fields: { pid: process.pid } });
    await first.close();
    await (await open()).close();
  });

  test("the lock of a process that is gone is taken over, also where its id is another's now", async () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    for (const content of [`{"pid":${pid}}`, `{"pid":${process.pid},"began":"1"}`, "torn", ""]) {
      writeFileSync(join(folder, "training.lock"), content);
      const lock = await lockFolder(folder);
      await expect(lockFolder(folder)).rejects.toThrow(/is being written by the training in process/);
      await lock.release();
      expect(existsSync(join(folder, "training.lock"))).toBe(false);
    }
  });

  test("of many that come together, one gets it, also where a stale lock lies there", async () => {
    for (const stale of [false, true]) {
      if (stale) writeFileSync(join(folder, "training.lock"), "torn");
      const all = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(folder)));
      const got = all.filter(({ status }) => status === "fulfilled");
      expect(got).toHaveLength(1);
      await (got[0] as PromiseFulfilledResult<{ release(): Promise<void> }>).value.release();
    }
  });
});

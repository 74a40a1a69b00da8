import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pack, reference, sourceOf, tinyStepper, tinyTrainable } from "../../testing/training.ts";
import type { Batch } from "./batch.ts";
import { openRunFolder, type RunFolder, type RunFolderOptions } from "./run-folder.ts";
import { type RunOptions, runTraining, type TrainingProgress } from "./run.ts";
import type { Stepper } from "./stepper.ts";
import { adamw } from "./update-rules/adamw.ts";

const ids = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => 3 + ((from + 5 * i) % 50));
const batches = [
  [pack([ids(1, 6), ids(2, 5)], ["a.jsonl line 1", "a.jsonl line 2"])],
  [pack([ids(7, 8)], ["a.jsonl line 3"])],
  [pack([ids(9, 4), ids(4, 4)], ["a.jsonl line 4", "a.jsonl line 5"])],
];

let model: Awaited<ReturnType<typeof tinyTrainable>>;
let folder: string;
beforeEach(async () => {
  model = await tinyTrainable(/mlp|norm$/i);
  folder = mkdtempSync(join(tmpdir(), "frugal-run-"));
});
afterEach(async () => {
  await model.close();
  rmSync(folder, { recursive: true, force: true });
});

const optionsFor = (more: Partial<RunOptions> = {}): RunOptions => ({
  backend: reference,
  stepper: tinyStepper(model, adamw()),
  batches: sourceOf(batches),
  steps: 6,
  rateAt: () => 0.01,
  ...more,
});
const openFolder = (more: Partial<RunFolderOptions> = {}): Promise<RunFolder> =>
  openRunFolder({
    path: join(folder, "out"),
    settings: { seed: 1 },
    resume: false,
    every: 2,
    keep: 2,
    bytes: { checkpoint: 0, others: 0 },
    ...more,
  });

describe("steps", () => {
  test("the loss falls, and each step is told as it ends", async () => {
    const seen: TrainingProgress[] = [];
    const training = runTraining(optionsFor({ rateAt: (step) => 0.01 / (step + 1) }));
    for await (const progress of training) seen.push(progress);
    const { losses, steps, endedBy, tokensPerSecond } = await training;
    expect([steps, endedBy]).toEqual([6, "steps"]);
    expect(losses[3]!).toBeLessThan(losses[0]!);
    expect(losses).toEqual(seen.map(({ loss }) => loss));
    expect(seen.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(seen.map(({ rate }) => rate)).toEqual([1, 2, 3, 4, 5, 6].map((n) => 0.01 / n));
    expect(seen.map(({ tokens }) => tokens)).toEqual([11, 8, 8, 11, 8, 8]);
    for (const progress of seen) {
      expect(progress.steps).toBe(6);
      expect(progress.gradientNorm).toBeGreaterThan(0);
      expect(progress.tokensPerSecond).toBeGreaterThan(0);
    }
    expect(seen.at(-1)!.secondsLeft).toBe(0);
    expect(seen[0]!.secondsLeft).toBeGreaterThan(0);
    expect(tokensPerSecond).toBeGreaterThan(0);
  });

  test("ends where the data ends", async () => {
    const { steps, endedBy } = await runTraining(optionsFor({ steps: 100, batches: sourceOf(batches, 2) }));
    expect([steps, endedBy]).toEqual([2, "data"]);
  });

  test("batches of a step add up to the step of all", async () => {
    const whole = sourceOf([[pack([ids(1, 6), ids(2, 6)], ["1", "2"])]]);
    const halves = sourceOf([[pack([ids(1, 6)], ["1"], 0.5), pack([ids(2, 6)], ["2"], 0.5)]]);
    const together = await runTraining(optionsFor({ batches: whole }));
    const apart = await runTraining(optionsFor({ batches: halves, stepper: tinyStepper(model, adamw(), { splits: true }) }));
    for (const [i, loss] of together.losses.entries()) expect(Math.abs(apart.losses[i]! - loss)).toBeLessThan(1e-5);
  });

  test("the trained numbers are there at the end, and were not before", async () => {
    let norm: Float32Array | undefined;
    await runTraining(optionsFor({ onEnd: async (read) => void (norm = await read("norm")) }));
    expect(norm!.some((x) => Math.abs(x - 1) > 1e-3)).toBe(true);
  });
});

describe("ends that nobody asked for", () => {
  /** Spoils the outcome of one step. */
  const spoiled = (stepper: Stepper, at: number, outcome: object): Stepper => ({
    ...stepper,
    step: async (loaded, of, settings) => ({ ...(await stepper.step(loaded, of, settings)), ...(settings.count === at ? outcome : {}) }),
  });

  test.each([
    ["a loss that is not a number", { loss: NaN }, /the loss is NaN in step 3/],
    ["an infinite loss", { loss: Infinity }, /the loss is Infinity in step 3/],
    ["an infinite gradient", { gradientNorm: Infinity }, /the gradient's norm is Infinity in step 3/],
  ])("%s: named with step and examples, and not saved", async (_, outcome, message) => {
    const store = await openFolder({ every: 1 });
    const running = runTraining(optionsFor({ store, stepper: spoiled(tinyStepper(model, adamw()), 3, outcome) }));
    await expect(running).rejects.toThrow(message);
    await expect(running).rejects.toThrow(/a\.jsonl line 4, a\.jsonl line 5/);
    await expect(running).rejects.toMatchObject({ code: "FRUGAL_NUMERIC", fields: { step: 3 } });
    await store.close();
    const again = await openFolder({ resume: true });
    expect(again.resumed!.state.step).toBe(2);
    await again.close();
  });

  test("a rate that ruins the weights: the first loss that is no number ends it", async () => {
    const training = runTraining(optionsFor({ steps: 40, rateAt: () => 1e38 }));
    await expect(training).rejects.toMatchObject({ code: "FRUGAL_NUMERIC" });
  });

  test("an abort ends it after the step under way, and what was done can be resumed", async () => {
    const plain = await runTraining(optionsFor());
    const controller = new AbortController();
    const store = await openFolder({ every: 100 });
    const training = runTraining(optionsFor({ store, signal: controller.signal }));
    const seen: number[] = [];
    const watching = (async () => {
      for await (const { step } of training) {
        seen.push(step);
        if (step === 3) controller.abort(new Error("enough"));
      }
    })();
    await expect(watching).rejects.toThrow("enough");
    await expect(training).rejects.toThrow("enough");
    await store.close();
    expect(seen.length).toBeLessThanOrEqual(4);
    const again = await openFolder({ resume: true });
    expect(again.resumed!.state.step).toBe(seen.length);
    const resumed = await runTraining(optionsFor({ store: again }));
    await again.close();
    expect(resumed.losses).toEqual(plain.losses);
  });

  test("leaving the iteration ends it too", async () => {
    const training = runTraining(optionsFor({ steps: 1000 }));
    for await (const { step } of training) if (step === 2) break;
    await expect(training).rejects.toMatchObject({ name: "AbortError" });
  });

  test("aborted before it begins: nothing is loaded", async () => {
    const load = () => Promise.reject(new Error("loaded"));
    const training = runTraining(optionsFor({ backend: { ...reference, load }, signal: AbortSignal.abort(new Error("no")) }));
    await expect(training).rejects.toThrow("no");
  });
});

describe("evaluation", () => {
  const held: readonly Batch[] = [pack([ids(1, 6)], ["held 1"], 0.5), pack([ids(20, 6)], ["held 2"], 0.5)];

  test("every so many steps, and after the last", async () => {
    const { evaluations } = await runTraining(optionsFor({ steps: 5, evaluation: { batches: held, every: 2 } }));
    expect(evaluations.map(({ step }) => step)).toEqual([2, 4, 5]);
    const none = await runTraining(optionsFor({ steps: 5 }));
    expect(none.evaluations).toEqual([]);
  });

  test("does not change the training", async () => {
    const [plain, looked] = [await runTraining(optionsFor()), await runTraining(optionsFor({ evaluation: { batches: held, every: 1 } }))];
    expect(looked.losses).toEqual(plain.losses);
  });

  test("patience ends it, and gives the weights of the least loss", async () => {
    // Every step of this rate makes it worse after some.
    const patient = (patience: number) =>
      runTraining(
        optionsFor({
          steps: 60,
          rateAt: () => 0.03,
          evaluation: { batches: held, every: 1, patience },
          onEnd: async (read, result) => {
            expect(result.bestStep).toBe(result.steps - patience);
            atEnd = await read("norm");
          },
        }),
      );
    let atEnd: Float32Array | undefined;
    const result = await patient(2);
    expect(result.endedBy).toBe("patience");
    const least = Math.min(...result.evaluations.map(({ loss }) => loss));
    expect(result.evaluations[result.bestStep! - 1]!.loss).toBe(least);
    let atBest: Float32Array | undefined;
    await runTraining(
      optionsFor({ steps: result.bestStep!, rateAt: () => 0.03, onEnd: async (read) => void (atBest = await read("norm")) }),
    );
    expect(atEnd).toEqual(atBest);
    expect((await patient(4)).steps).toBeGreaterThan(result.steps);
  });

  test("patience survives a resumption", async () => {
    const evaluation = { batches: held, every: 1, patience: 2 };
    const plain = await runTraining(optionsFor({ steps: 60, rateAt: () => 0.03, evaluation }));
    const stopAt = plain.bestStep! + 1;
    const first = await openFolder({ every: 1 });
    await runTraining(optionsFor({ steps: stopAt, rateAt: () => 0.03, evaluation, store: first }));
    await first.close();
    const second = await openFolder({ resume: true });
    const result = await runTraining(optionsFor({ steps: 60, rateAt: () => 0.03, evaluation, store: second }));
    await second.close();
    expect(result).toMatchObject({ steps: plain.steps, endedBy: "patience", bestStep: plain.bestStep, losses: plain.losses });
  });
});

describe("the folder", () => {
  test("resumes to the same numbers, from any step", async () => {
    const plain = await runTraining(optionsFor());
    for (const stop of [1, 2, 5]) {
      const first = await openFolder({ path: join(folder, String(stop)), every: 1 });
      await runTraining(optionsFor({ steps: stop, store: first }));
      await first.close();
      const second = await openFolder({ path: join(folder, String(stop)), resume: true });
      const { losses } = await runTraining(optionsFor({ store: second }));
      await second.finish();
      await second.close();
      expect(losses).toEqual(plain.losses);
      const lines = readFileSync(join(folder, String(stop), "losses.jsonl"), "utf8")
        .trimEnd()
        .split("\n");
      expect(lines.map((line) => (JSON.parse(line) as { loss: number }).loss)).toEqual(plain.losses);
    }
  });

  test("a checkpoint of another model is refused by name", async () => {
    const store = await openFolder({ every: 1 });
    await runTraining(optionsFor({ steps: 1, store }));
    await store.close();
    const other = await tinyTrainable(/attention/);
    const again = await openFolder({ resume: true });
    const training = runTraining(optionsFor({ store: again, stepper: tinyStepper(other, adamw()) }));
    await expect(training).rejects.toThrow(/do not train the same, they differ in "/);
    await again.close();
    await other.close();
  });
});

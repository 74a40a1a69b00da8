import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { reference, tinyStepper, tinyTrainable } from "../../testing/training.ts";
import { createBatches } from "./data/batches.ts";
import type { Preference } from "./data/example.ts";
import { preferenceLoss, preferenceStepper } from "./preference.ts";
import { runTraining } from "./run.ts";
import { adamw } from "./update-rules/adamw.ts";

interface Oracle {
  readonly beta: number;
  readonly rate: number;
  readonly pairs: readonly { readonly prompt: number; readonly chosen: readonly number[]; readonly rejected: readonly number[] }[];
  readonly losses: readonly number[];
}
const oracle = JSON.parse(readFileSync(new URL("../../testing/fixtures/preference.json", import.meta.url), "utf8")) as Oracle;
const pairs = oracle.pairs.map(({ prompt, chosen, rejected }, i): Preference => {
  const example = (ids: readonly number[]) => ({
    name: `pair ${i}`,
    ids: Int32Array.from(ids),
    scored: Uint8Array.from(ids, (_, at) => (at < prompt ? 0 : 1)),
  });
  return { name: `pair ${i}`, chosen: example(chosen), rejected: example(rejected) };
});

async function losses(beta: number, rows?: number): Promise<readonly number[]> {
  const model = await tinyTrainable();
  const splits = rows !== undefined;
  const stepper = preferenceStepper(tinyStepper(model, adamw(), { loss: preferenceLoss, splits }), model.graph, beta);
  const options = { order: "file", rows } as const;
  const batches = createBatches(pairs, { ...options, examplesPerStep: pairs.length });
  const each = createBatches(pairs, { ...options, examplesPerStep: 1, epochs: 1 });
  const result = await runTraining({
    backend: reference,
    stepper,
    batches,
    steps: oracle.losses.length,
    rateAt: () => oracle.rate,
    onLoaded: (loaded) =>
      stepper.remember(
        loaded,
        (async function* () {
          for (let step = await each.next(); step !== undefined; step = await each.next()) yield* step;
        })(),
      ),
  });
  await model.close();
  return result.losses;
}

const distance = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

test("the losses of PyTorch, from log 2 on", async () => {
  const found = await losses(oracle.beta);
  expect(found[0]).toBeCloseTo(Math.LN2, 6);
  expect(distance(found, oracle.losses)).toBeLessThan(1e-4);
});

test("pairs in batches of their own add up to the same", async () => {
  expect(distance(await losses(oracle.beta, 12), oracle.losses)).toBeLessThan(1e-4);
});

test("a larger beta changes the losses", async () => {
  const [small, large] = [await losses(0.1), await losses(1)];
  expect(large.at(-1)!).toBeLessThan(small.at(-1)!);
});

test("an answer whose beginnings are not known is a fault of ours, named", async () => {
  const model = await tinyTrainable();
  const stepper = preferenceStepper(tinyStepper(model, adamw(), { loss: preferenceLoss }), model.graph, 0.1);
  const batches = createBatches(pairs, { order: "file", examplesPerStep: 1 });
  const training = runTraining({ backend: reference, stepper, batches, steps: 1, rateAt: () => 1e-3 });
  await expect(training).rejects.toThrow(/pair 0 before the training is not known/);
  await model.close();
});

/** Loss scaling: the factor goes where torch's GradScaler takes it (testing/oracles/optimizers.py), and an overflow changes nothing else. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadRule, type Parameter, type RuleRun } from "../../testing/update-rules.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { type LossScaleOptions, withLossScale } from "./loss-scale.ts";
import type { UpdateRule } from "./update-rule.ts";
import { adamw } from "./update-rules/adamw.ts";
import { lomo } from "./update-rules/lomo.ts";

interface Truth {
  readonly initial: number;
  readonly growthInterval: number;
  readonly overflows: readonly boolean[];
  readonly scales: readonly number[];
}
const truth = (
  JSON.parse(readFileSync(new URL("../../testing/fixtures/training/scaling.json", import.meta.url), "utf8")) as { readonly scaling: Truth }
).scaling;

/** Gradients of one parameter of three numbers: plain ones, or one that only overflows when it is scaled. */
const gradientsOf = (overflows: readonly boolean[]): Float32Array =>
  Float32Array.from(overflows.flatMap((overflow, t) => [0.1 + t / 100, -0.2, overflow ? 3e37 : 0.3]));

const parameterOf = (gradients: Float32Array): Parameter => ({ name: "w", shape: [3], start: Float32Array.of(1, 2, 3), gradients });

const load = (rule: UpdateRule, options: LossScaleOptions, parameter: Parameter): Promise<RuleRun> =>
  loadRule(createReferenceBackend(), rule, [parameter], {
    lossScale: true,
    change: (programs) => withLossScale(programs, options),
  });

const run = (rule: UpdateRule, options: LossScaleOptions, overflows: readonly boolean[]): Promise<RuleRun> =>
  load(rule, options, parameterOf(gradientsOf(overflows)));

/** The factor after each step. */
async function scales(rule: UpdateRule, options: LossScaleOptions, overflows: readonly boolean[]): Promise<number[]> {
  const { loaded, step } = await run(rule, options, overflows);
  const found: number[] = [];
  for (const t of overflows.keys()) {
    await step(t, 0.01);
    found.push((await loaded.readWeight("lossScale/scale"))[0]!);
  }
  await loaded.dispose();
  return found;
}

describe.each([adamw(), lomo()])("$name", (rule) => {
  it("grows and shrinks the factor as PyTorch does", async () => {
    const { initial, growthInterval, overflows, scales: wanted } = truth;
    expect(await scales(rule, { initial, growthInterval }, overflows)).toEqual(wanted);
  });

  it("changes nothing where a gradient overflows, and counts only steps that did something", async () => {
    const overflows = [false, true, false, false];
    const { loaded, step, states } = await run(rule, {}, overflows);
    const all = async (): Promise<Float32Array[]> =>
      Promise.all(["w", ...states.filter((name) => !name.startsWith("lossScale/"))].map((name) => loaded.readWeight(name)));
    await step(0, 0.01);
    const before = await all();
    const outputs = await step(1, 0.01);
    expect(await all()).toEqual(before);
    expect(outputs["gradientNorm"]?.[0] ?? 0).toBe(0);
    for (const t of [2, 3]) await step(t, 0.01);

    // The same gradients without the one that overflowed, without scaling. 65536 is a power of two, so nothing is rounded otherwise.
    const kept = gradientsOf(overflows).filter((_, i) => Math.floor(i / 3) !== 1);
    const plain = await loadRule(createReferenceBackend(), rule, [parameterOf(kept)]);
    for (const t of [0, 1, 2]) await plain.step(t, 0.01);
    expect((await loaded.readWeight("w")).map((v, i) => v - before[0]![i]!)).not.toEqual(new Float32Array(3));
    expect(await loaded.readWeight("w")).toEqual(await plain.loaded.readWeight("w"));
    await Promise.all([loaded.dispose(), plain.loaded.dispose()]);
  });
});

it("does the same in pieces", async () => {
  const overflows = [false, true, false];
  const [whole, pieces] = [await run(adamw(), {}, overflows), await run(adamw(), {}, overflows)];
  for (const t of overflows.keys()) {
    await whole.step(t, 0.01);
    await pieces.step(t, 0.01, "first");
    expect((await pieces.step(t, 0.01, "update"))["gradientNorm"]![0] === 0).toBe(overflows[t]);
  }
  for (const name of ["w", ...whole.states]) expect(await pieces.loaded.readWeight(name)).toEqual(await whole.loaded.readWeight(name));
  await Promise.all([whole.loaded.dispose(), pieces.loaded.dispose()]);
});

it("follows each of its options", async () => {
  const overflows = [false, true, false, false];
  expect(await scales(adamw(), {}, overflows)).toEqual([65536, 32768, 32768, 32768]);
  expect(await scales(adamw(), { initial: 1000 }, overflows)).toEqual([1000, 500, 500, 500]);
  expect(await scales(adamw(), { backoffFactor: 0.25 }, overflows)).toEqual([65536, 16384, 16384, 16384]);
  expect(await scales(adamw(), { growthInterval: 2 }, overflows)).toEqual([65536, 32768, 32768, 65536]);
  expect(await scales(adamw(), { growthInterval: 1, growthFactor: 4 }, overflows)).toEqual([4 * 65536, 2 * 65536, 8 * 65536, 32 * 65536]);
});

it("does not grow beyond f32 where gradients are zero", async () => {
  const { loaded, step } = await load(lomo(), { initial: 2 ** 125, growthInterval: 1 }, parameterOf(new Float32Array(9)));
  for (const t of [0, 1, 2]) await step(t, 0.01);
  expect([...(await loaded.readWeight("lossScale/scale"))]).toEqual([2 ** 126]);
  await loaded.dispose();
});

it.each([
  [{ growthIntervall: 5 } as LossScaleOptions, /unknown option "growthIntervall"; did you mean growthInterval/],
  [{ initial: 0 }, /initial is 0; give a number above 0/],
  [{ growthFactor: 1 }, /growthFactor is 1; give a number above 1/],
  [{ backoffFactor: 1 }, /backoffFactor is 1; give a number between 0 and 1/],
  [{ growthInterval: 0 }, /growthInterval is 0; give a whole number from 1/],
] as readonly (readonly [LossScaleOptions, RegExp])[])("refuses %j", async (options, message) => {
  await expect(run(adamw(), options, [false])).rejects.toThrow(message);
});

/** MeZO: steps follow the formula, put back what they moved, need no gradient, and learn. */
import { describe, expect, it } from "vitest";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import type { LoadedModel, Weights } from "../backends/backend.ts";
import type { Graph } from "../graph/value.ts";
import { verifyGraph } from "../graph/verify.ts";
import { createBuilder, opRules } from "../ops/builder.ts";
import type { Batch } from "./batch.ts";
import { mezoStepper, type MezoOptions } from "./mezo.ts";
import type { Stepper } from "./stepper.ts";
import type { Trainable } from "./trainable.ts";

const caps = { T: 0, S: 0, C: 0, R: 0 };
const startOf: Readonly<Record<string, Float32Array>> = {
  matrix: Float32Array.of(1, -2, 3, 0.5, -1, 2),
  vector: Float32Array.of(0.3, -0.7, 1.1),
};
const weights: Weights = new Map([
  ["matrix", { shape: [2, 3], content: { values: async () => startOf["matrix"]!.slice() } }],
  ["vector", { shape: [3], content: { values: async () => startOf["vector"]!.slice() } }],
]);

/** The mean square distance of all weights from their targets, 0 and 1, times the input `size`; argmax has no gradient and changes nothing. */
function graph(): Graph {
  const b = createBuilder();
  const [matrix, vector] = [b.weight("matrix", [2, 3]), b.scale(b.weight("vector", [3]), { by: 1, plus: -1 })];
  const nothing = b.scale(b.sum(b.reshape(b.toFloat(b.argmax(matrix)), { shape: [2, 1] }), { axis: 0 }), { by: 0 });
  const squares = b.add(b.dot(matrix, matrix), b.dot(vector, vector));
  const size = b.input("size", { shape: [1, 1], type: "f32" });
  return { outputs: new Map([["loss", b.add(b.mul(b.reshape(squares, { shape: [1, 1] }), size), nothing)]]) };
}

const model: Trainable = { graph: graph(), weights, trained: new Set(["matrix", "vector"]), virtualTokens: 0 };
const batch = (size: number): Batch => ({ inputs: { size: Float32Array.of(size) }, symbols: caps, examples: [] });
const settings = { seed: 5, loss: (given: Graph): Graph => given };

async function load(options: MezoOptions = {}, of: Trainable = model, seed = 5): Promise<{ stepper: Stepper; loaded: LoadedModel }> {
  const stepper = mezoStepper(of, options, { ...settings, seed });
  for (const each of Object.values(stepper.graphs)) verifyGraph(each, opRules);
  return { stepper, loaded: await createReferenceBackend().load(stepper.graphs, stepper.weights, { caps }) };
}

const read = async (loaded: LoadedModel): Promise<number[]> => [
  ...(await loaded.readWeight("matrix")),
  ...(await loaded.readWeight("vector")),
];
const start = [...startOf["matrix"]!, ...startOf["vector"]!];

/** What a step of this rate changes. */
async function change(
  rate: number,
  { options = {}, seed = 5, count = 1, of = model }: { options?: MezoOptions; seed?: number; count?: number; of?: Trainable } = {},
): Promise<number[]> {
  const { stepper, loaded } = await load(options, of, seed);
  await stepper.step(loaded, [batch(1)], { rate, count });
  const moved = await read(loaded);
  await loaded.dispose();
  return moved.map((v, i) => v - start[i]!);
}

const near = (a: readonly number[], b: readonly number[]): boolean => a.every((v, i) => Math.abs(v - b[i]!) < 1e-5);

describe("a step", () => {
  it("moves along its random numbers by rate times the slope", async () => {
    const { stepper, loaded } = await load({ epsilon: 0.01 });
    const inputs = { noiseSeed: Int32Array.of(5, 1), distance: Float32Array.of(1) };
    await loaded.run({ program: "perturb", symbols: caps, inputs });
    const z = (await read(loaded)).map((v, i) => v - start[i]!);
    await loaded.dispose();
    // d/dt of the squares of w + tz: exact for central differences, whatever epsilon.
    const slope = start.reduce((sum, w, i) => sum + 2 * (w - (i < 6 ? 0 : 1)) * z[i]!, 0);
    const found = await change(0.1, { options: { epsilon: 0.01 } });
    found.forEach((v, i) => expect(v).toBeCloseTo(-0.1 * slope * z[i]!, 3));
    expect(stepper.kept).toEqual(["matrix", "vector"]);
    expect(new Set(z.map((v) => v.toFixed(4))).size).toBe(9);
  });

  it("puts back what it moved", async () => {
    for (const v of await change(0)) expect(Math.abs(v)).toBeLessThan(1e-6);
  });

  it("is the same again, and another for another seed or count", async () => {
    const first = await change(0.01);
    expect(await change(0.01)).toEqual(first);
    expect(near(await change(0.01, { seed: 6 }), first)).toBe(false);
    expect(near(await change(0.01, { count: 2 }), first)).toBe(false);
  });

  it("sums the losses of its batches, and gives their mean on both sides", async () => {
    const { stepper, loaded } = await load();
    const whole = await stepper.evaluate(loaded, batch(1));
    expect(whole).toBeCloseTo(
      start.reduce((sum, w, i) => sum + (w - (i < 6 ? 0 : 1)) ** 2, 0),
      4,
    );
    const { loss, gradientNorm } = await stepper.step(loaded, [batch(0.25), batch(0.75)], { rate: 0, count: 1 });
    expect(loss).toBeCloseTo(whole, 3);
    expect(gradientNorm).toBeUndefined();
    await loaded.dispose();
  });

  it("moves nothing once it is aborted", async () => {
    const { stepper, loaded } = await load();
    const step = stepper.step(loaded, [batch(1)], { rate: 1, count: 1, signal: AbortSignal.abort(new Error("enough")) });
    await expect(step).rejects.toThrow("enough");
    expect(await read(loaded)).toEqual(start);
    await loaded.dispose();
  });
});

describe("its options", () => {
  it("weightDecay takes a share of the weights", async () => {
    const [plain, decayed] = [await change(0.01), await change(0.01, { options: { weightDecay: 2 } })];
    decayed.forEach((v, i) => expect(v - plain[i]!).toBeCloseTo(-0.02 * start[i]!, 4));
  });

  it("epsilon is how far the losses are looked at", async () => {
    const { stepper, loaded } = await load({ epsilon: 1 });
    const plain = await stepper.evaluate(loaded, batch(1));
    const { loss } = await stepper.step(loaded, [batch(1)], { rate: 0, count: 1 });
    expect(loss - plain).toBeGreaterThan(1); // the squares of z, of which there are nine
    await loaded.dispose();
  });

  it("a weight's rate factor multiplies its step", async () => {
    const [plain, faster] = [await change(0.01), await change(0.01, { of: { ...model, rateFactors: new Map([["vector", 4]]) } })];
    faster.forEach((v, i) => expect(v).toBeCloseTo((i < 6 ? 1 : 4) * plain[i]!, 4));
  });

  it("frozen weights stay", async () => {
    const { stepper, loaded } = await load({}, { ...model, trained: new Set(["vector"]) });
    await stepper.step(loaded, [batch(1)], { rate: 0.01, count: 1 });
    await expect(loaded.readWeight("matrix")).rejects.toThrow(/no program updates a weight "matrix"/);
    await loaded.dispose();
  });

  it.each([
    [{ epsilon: 0 }, model, /mezo: epsilon is 0; give a number above 0/],
    [{ weightDecay: -1 }, model, /mezo: weightDecay is -1; give a number at least 0/],
    [{ eps: 1 } as MezoOptions, model, /unknown option "eps"/],
    [{}, { ...model, trained: new Set(["vectro"]) }, /does not depend on the weight "vectro"/],
    [{}, { ...model, trained: new Set<string>() }, /no weight is trained/],
  ])("refuses %j", (options, of, message) => {
    expect(() => mezoStepper(of, options, settings)).toThrow(message);
  });
});

it("learns without a gradient", async () => {
  const { stepper, loaded } = await load();
  const losses: number[] = [];
  for (let count = 1; count <= 300; count++) losses.push((await stepper.step(loaded, [batch(1)], { rate: 0.02, count })).loss);
  expect(losses.at(-1)).toBeLessThan(0.01 * losses[0]!);
  await loaded.dispose();
});

/** Each option of LoRA's family changes what its formula says; wrong ones are named; first numbers are as the papers have them. */
import { expect, test } from "vitest";
import { contextOf, given, measure, openTrainable, packTexts } from "../../../testing/tuning.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import type { Weight } from "../../backends/backend.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import type { Trainable } from "../../training/trainable.ts";
import { adalora } from "./adalora.ts";
import { dora } from "./dora.ts";
import { lora } from "./lora.ts";
import { loraPlus } from "./lora-plus.ts";
import { pissa } from "./pissa.ts";
import { rslora } from "./rslora.ts";
import { vera } from "./vera.ts";

const badArgument = (message: RegExp): unknown =>
  expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) });
const text = packTexts([[5, 60, 33, 8, 90, 17]]);

/** A fixture's model with the technique, all of it in memory. */
async function applied(technique: TuningTechnique, seed = 1): Promise<Trainable> {
  const { trainable, context, close } = await openTrainable("llama-2", seed);
  const tuned = await technique.apply(trainable, context);
  const read = contextOf(tuned.graph, tuned.weights);
  const weights = new Map<string, Weight>();
  for (const [name, { shape }] of tuned.weights) weights.set(name, given(shape, await read.numbers(name)));
  await close();
  return { ...tuned, weights };
}

const numbers = (model: Trainable, name: string): Promise<Float32Array> => contextOf(model.graph, model.weights).numbers(name);
const logits = async (model: Trainable): Promise<Float32Array> => (await measure(createReferenceBackend(), model, text)).logits;
const shapes = (model: Trainable, end: string): string[] =>
  [...model.trained]
    .filter((name) => name.endsWith(end))
    .map((name) => `${name.replace(/^layers\./, "")} ${model.weights.get(name)!.shape.join("x")}`);
const worst = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));
/** The model with every B of ones, so that what is added is not zero. */
const awake = (model: Trainable): Trainable => ({
  ...model,
  weights: new Map(
    [...model.weights].map(([name, weight]) =>
      name.endsWith(".loraB")
        ? [name, given(weight.shape, new Float32Array(weight.shape.reduce((a, n) => a * n, 1)).fill(0.1))]
        : [name, weight],
    ),
  ),
});

test("rank, rankPattern and targets give the shapes of A and B", async () => {
  const model = await applied(lora({ rank: 3, targets: "query,mlp.down", rankPattern: { "layers.1.mlp.down": 5 } }));
  expect(shapes(model, "loraA")).toEqual([
    "0.attention.query.loraA 3x64",
    "0.mlp.down.loraA 3x96",
    "1.attention.query.loraA 3x64",
    "1.mlp.down.loraA 5x96",
  ]);
  expect(shapes(model, "loraB")[3]).toBe("1.mlp.down.loraB 64x5");
  expect(shapes(await applied(lora()), "loraA")).toHaveLength(14);
  expect(shapes(await applied(lora()), "loraA")[0]).toBe("0.attention.query.loraA 8x64");
});

test("alpha, alphaPattern and scaling scale what is added", async () => {
  const options = { rank: 4, alpha: 2, targets: "query" };
  const base = await logits(awake(await applied(lora(options))));
  // alpha / rank: twice both is the same scale; alpha / √rank is another.
  expect(worst(await logits(awake(await applied(lora({ ...options, alphaPattern: { query: 2 } })))), base)).toBe(0);
  expect(worst(await logits(awake(await applied(lora({ ...options, alpha: 4 })))), base)).toBeGreaterThan(1e-3);
  expect(worst(await logits(awake(await applied(lora({ ...options, alphaPattern: { query: 4 } })))), base)).toBeGreaterThan(1e-3);
  const stable = await logits(awake(await applied(rslora(options))));
  expect(worst(await logits(awake(await applied(lora({ ...options, scaling: "square-root" })))), stable)).toBe(0);
  expect(worst(await logits(awake(await applied(lora({ ...options, alpha: 4 })))), stable)).toBe(0);
});

test.each([
  ["lora", lora()],
  ["lora-plus", loraPlus()],
  ["dora", dora()],
  ["pissa", pissa()],
  ["vera", vera({ rank: 16 })],
  ["adalora", adalora()],
] as const)("%s begins with the model's own results", async (name, technique) => {
  const { trainable, close } = await openTrainable("llama-2");
  const plain = await logits(trainable);
  await close();
  expect(worst(await logits(await applied(technique)), plain)).toBeLessThan(name === "dora" ? 2e-5 : 1e-30);
});

test("A begins even in ±1/√inputs and B zero, by seed and name alone", async () => {
  const [one, same, other] = [await applied(lora()), await applied(lora({ targets: "query" })), await applied(lora(), 2)];
  const name = "layers.0.attention.query.loraA";
  const A = await numbers(one, name);
  expect(Math.max(...A)).toBeLessThanOrEqual(1 / 8);
  expect(Math.max(...A)).toBeGreaterThan(0.9 / 8);
  expect(await numbers(same, name)).toEqual(A);
  expect(await numbers(other, name)).not.toEqual(A);
  expect((await numbers(one, "layers.0.attention.query.loraB")).every((x) => x === 0)).toBe(true);
});

test("LoRA+ multiplies the rate of B by its ratio", async () => {
  const model = await applied(loraPlus({ targets: "query", ratio: 5 }));
  expect([...model.rateFactors!]).toEqual([
    ["layers.0.attention.query.loraB", 5],
    ["layers.1.attention.query.loraB", 5],
  ]);
  expect((await applied(loraPlus({ targets: "query" }))).rateFactors!.get("layers.0.attention.query.loraB")).toBe(16);
});

test("DoRA's magnitude begins as the norms of the rows, which are not trained", async () => {
  const { context, close } = await openTrainable("llama-2");
  const W = await context.numbers("layers.0.attention.query");
  await close();
  const model = await applied(dora({ targets: "query" }));
  const magnitude = await numbers(model, "layers.0.attention.query.magnitude");
  expect(magnitude[5]).toBeCloseTo(Math.hypot(...W.subarray(5 * 64, 6 * 64)), 5);
  expect([...model.trained].filter((name) => name.includes("layers.0")).toSorted()).toEqual(
    ["loraA", "loraB", "magnitude"].map((end) => `layers.0.attention.query.${end}`),
  );
});

test("VeRA's matrices are shared and as large as the largest linear; d begins as `initial`", async () => {
  const model = await applied(vera({ rank: 6, targets: "query,down", initial: 0.3 }));
  expect(model.weights.get("vera.A")!.shape).toEqual([6, 96]);
  expect(model.weights.get("vera.B")!.shape).toEqual([64, 6]);
  expect([...(await numbers(model, "layers.0.mlp.down.veraD"))]).toEqual(new Array(6).fill(Math.fround(0.3)));
  expect([...(await numbers(await applied(vera({ targets: "query" })), "layers.0.attention.query.veraD"))]).toEqual(
    new Array(256).fill(Math.fround(0.1)),
  );
  expect([...model.trained].some((name) => name.startsWith("vera."))).toBe(false);
  expect(Math.max(...(await numbers(model, "vera.A")))).toBeLessThanOrEqual(Math.sqrt(6 / 96));
});

test("AdaLoRA's penalty is the mean distance of P and Q from orthonormal, times its weight; 0 leaves it out", async () => {
  const penaltyOf = async (orthogonality: number): Promise<number> => {
    const model = await applied(adalora({ targets: "query", rank: 2, orthogonality }));
    const graph = { ...model, graph: { outputs: new Map([["penalty", model.penalty!]]) } };
    const loaded = await createReferenceBackend().load({ main: graph.graph }, model.weights, { caps: { T: 1, S: 1, C: 1, R: 1 } });
    const found = (await loaded.run({ program: "main", symbols: { T: 1, S: 1, C: 1, R: 1 }, inputs: {} }))["penalty"]![0]!;
    await loaded.dispose();
    return found;
  };
  // Deviations of 0.02 over 64 inputs: QQᵀ ≈ 0.0256·I, so that each distance is about √2·0.974.
  expect(await penaltyOf(1)).toBeCloseTo(Math.SQRT2 * 0.974, 1);
  expect(await penaltyOf(0.25)).toBeCloseTo(0.25 * (await penaltyOf(1)), 6);
  expect((await applied(adalora({ orthogonality: 0 }))).penalty).toBeUndefined();
});

test("PiSSA's first numbers are the largest singular values, of which alpha and rank are no matter", async () => {
  const { context, close } = await openTrainable("llama-2");
  const W = await context.numbers("layers.1.mlp.down");
  await close();
  const model = await applied(pissa({ targets: "down", rank: 64, alpha: 24 }));
  const [A, B] = [await numbers(model, "layers.1.mlp.down.loraA"), await numbers(model, "layers.1.mlp.down.loraB")];
  const scale = 24 / 64;
  // All 64 singular values make the matrix.
  const product = W.map((_, at) => {
    let sum = 0;
    for (let k = 0; k < 64; k++) sum += scale * B[Math.floor(at / 96) * 64 + k]! * A[k * 96 + (at % 96)]!;
    return sum;
  });
  expect(worst(product, W)).toBeLessThan(1e-5);
  expect(await numbers(model, "layers.1.mlp.down.principalA")).toEqual(A);
  expect(model.trained.has("layers.1.mlp.down.principalA")).toBe(false);
  await expect(applied(pissa({ targets: "down", rank: 65 }))).rejects.toThrow(
    badArgument(/pissa: rank is 65, but "layers.0.mlp.down" \[64, 96\] has 64/),
  );
});

test("techniques on different weights are combined; the same one twice is an error", async () => {
  const { trainable, context, close } = await openTrainable("llama-2");
  const first = await lora({ targets: "query" }).apply(trainable, context);
  const both = await dora({ targets: "value" }).apply(first, context);
  expect(both.trained.size).toBe(4 + 6);
  await expect(lora({ targets: "query" }).apply(both, context)).rejects.toThrow(
    badArgument(/lora: the model has a weight "layers.0.attention.query.lora[AB]" already/),
  );
  await expect(vera().apply(await vera().apply(trainable, context), context)).rejects.toThrow(badArgument(/vera: .*already/));
  await close();
});

test.each([
  [() => lora({ rank: 0 }), /lora: rank is 0; give a whole number from 1 on/],
  [() => rslora({ rank: 2.5 }), /rslora: rank is 2.5/],
  [() => lora({ alpha: 0 }), /lora: alpha is 0; give a positive number/],
  [() => lora({ alpha: "8" as unknown as number }), /alpha is 8/],
  [() => lora({ dropout: 0.1 }), /lora: dropout is 0.1, but activations are never left out here/],
  [() => lora({ rankPattern: { query: 0 } }), /rankPattern of "query" is 0/],
  [() => lora({ alphaPattern: { query: -1 } }), /alphaPattern of "query" is -1/],
  [() => lora({ rankPattern: [4] as unknown as Record<string, number> }), /rankPattern is \[4\]/],
  [() => lora({ targets: [1] as unknown as string[] }), /targets is \[1\]/],
  [() => lora({ scaling: "root" as "rank" }), /scaling is "root"; give "rank" or "square-root"/],
  [() => lora({ rnk: 4 } as object), /lora: unknown option "rnk"; did you mean rank\?/],
  [() => rslora({ scaling: "rank" } as object), /rslora: unknown option "scaling"/],
  [() => vera({ alpha: 4 } as object), /vera: unknown option "alpha"/],
  [() => vera({ initial: 0 }), /vera: initial is 0/],
  [() => loraPlus({ ratio: -1 }), /lora-plus: ratio is -1/],
  [() => adalora({ orthogonality: -1 }), /adalora: orthogonality is -1/],
] as const)("%s", (make, message) => {
  expect(make).toThrow(badArgument(message));
});

test("a target or a key of a pattern that fits nothing is named when the model is known", async () => {
  await expect(applied(lora({ targets: "q_porj" }))).rejects.toThrow(
    badArgument(/lora: no linear is called "q_porj", did you mean "q_proj"/),
  );
  await expect(applied(dora({ targets: "query", rankPattern: { key: 2 } }))).rejects.toThrow(
    badArgument(/dora: no linear is called "key"/),
  );
});

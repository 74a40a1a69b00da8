/** Every option of additive techniques changes what it says, and bad ones are refused with a way out. */
import { expect, test } from "vitest";
import { decodeWeights } from "../../backends/weights.ts";
import { openTrainable } from "../../../testing/tuning.ts";
import { type Graph, sourceName, valuesOf } from "../../graph/value.ts";
import { size } from "../../tensor/shape.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { ia3 } from "./ia3.ts";
import { pTuning, promptEncoderGraph } from "./p-tuning.ts";
import { parallelAdapters } from "./parallel-adapters.ts";
import { prefixEncoderGraph, prefixTuning, prefixWidths } from "./prefix-tuning.ts";
import { embeddingScale } from "./prompt-rows.ts";
import { promptTuning } from "./prompt-tuning.ts";
import { serialAdapters } from "./serial-adapters.ts";

interface Applied {
  readonly graph: Graph;
  readonly virtualTokens: number;
  /** Shapes of what is trained. */
  readonly shapes: Readonly<Record<string, string>>;
  readonly numbers: ReadonlyMap<string, Float32Array>;
  readonly count: number;
}

async function apply(family: string, technique: TuningTechnique, seed = 1): Promise<Applied> {
  const { trainable, context, close } = await openTrainable(family, seed);
  const tuned = await technique.apply(trainable, context);
  const parameters = valuesOf(tuned.graph).filter((value) => value.op === "weight" && tuned.trained.has(sourceName(value)));
  const numbers = await decodeWeights(parameters, tuned.weights, {});
  await close();
  return {
    graph: tuned.graph,
    virtualTokens: tuned.virtualTokens,
    shapes: Object.fromEntries(parameters.map((value) => [sourceName(value), value.shape.join("x")])),
    numbers,
    count: parameters.reduce((sum, { shape }) => sum + size(shape as number[]), 0),
  };
}
const names = async (technique: TuningTechnique, family = "llama-3"): Promise<string[]> =>
  Object.keys((await apply(family, technique)).shapes);
/** Ends of names in the first layer. */
const inFirst = async (technique: TuningTechnique, family = "llama-3"): Promise<string[]> =>
  (await names(technique, family)).flatMap((name) => (name.startsWith("layers.0.") ? [name.slice("layers.0.".length)] : [])).toSorted();
const deviation = (numbers: Float32Array): number => Math.sqrt(numbers.reduce((sum, n) => sum + n * n, 0) / numbers.length);
const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) });

test("IA3: targets and feedForward", async () => {
  expect(await inFirst(ia3())).toEqual(["attention.key.ia3", "attention.value.ia3", "mlp.down.ia3"]);
  expect(await inFirst(ia3(), "mixtral")).toEqual(["attention.key.ia3", "attention.value.ia3"]);
  expect(await inFirst(ia3({ targets: "attention.query" }))).toEqual(["attention.query.ia3"]);
  // Of mlp.down the input has 64 channels and the result 32.
  expect((await apply("llama-3", ia3())).shapes["layers.0.mlp.down.ia3"]).toBe("64");
  expect((await apply("llama-3", ia3({ feedForward: [] }))).shapes["layers.0.mlp.down.ia3"]).toBe("32");
  await expect(names(ia3({ targets: "key", feedForward: "mlp.down" }))).rejects.toThrow(
    refused(/"layers.0.mlp.down", which is not among the targets/),
  );
  await expect(names(ia3({ targets: "kee" }))).rejects.toThrow(refused(/IA3: no linear is called "kee", did you mean "key"/));
  expect(() => ia3({ target: "key" } as object)).toThrow(refused(/unknown option "target"; did you mean targets/));
});

test("prompt tuning: virtualTokens and initial", async () => {
  const two = await apply("llama-3", promptTuning({ virtualTokens: 2 }));
  expect([two.shapes, two.virtualTokens]).toEqual([{ "prompt.embedding": "2x32" }, 2]);
  expect((await apply("llama-3", promptTuning({ virtualTokens: 5 }))).virtualTokens).toBe(5);
  const { trainable, context, close } = await openTrainable("llama-3");
  const table = await context.numbers("embedding");
  await close();
  expect(trainable.virtualTokens).toBe(0);
  const row = (id: number): number[] => [...table.subarray(id * 32, (id + 1) * 32)];
  const given = (await apply("llama-3", promptTuning({ virtualTokens: 3, initial: { ids: [7, 9] } }))).numbers.get("prompt.embedding")!;
  expect([...given]).toEqual([...row(7), ...row(9), ...row(7)]);
  const sampled = two.numbers.get("prompt.embedding")!;
  const isRow = Array.from({ length: 131 }, (_, id) => row(id).join()).includes([...sampled.subarray(0, 32)].join());
  expect(isRow).toBe(true);
  const random = promptTuning({ virtualTokens: 50, initial: "random" });
  const numbers = (await apply("llama-3", random)).numbers.get("prompt.embedding")!;
  expect(deviation(numbers)).toBeCloseTo(1, 1);
  expect((await apply("llama-3", random)).numbers.get("prompt.embedding")).toEqual(numbers);
  expect((await apply("llama-3", random, 2)).numbers.get("prompt.embedding")).not.toEqual(numbers);
});

test("prompt tuning refuses what is no number of rows, no beginning, no token", async () => {
  expect(() => promptTuning({} as { virtualTokens: number })).toThrow(refused(/virtualTokens is missing/));
  for (const virtualTokens of [0, -1, 1.5, 1e9])
    expect(() => promptTuning({ virtualTokens })).toThrow(refused(/virtualTokens is .* whole number from 1/));
  expect(() => promptTuning({ virtualTokens: 1, initial: "text" as "random" })).toThrow(refused(/initial is "text"/));
  expect(() => promptTuning({ virtualTokens: 1, initial: { ids: [] } })).toThrow(refused(/at least one token/));
  await expect(names(promptTuning({ virtualTokens: 1, initial: { ids: [131] } }))).rejects.toThrow(
    refused(/ids hold 131; tokens go from 0 to 130/),
  );
});

test("embeddings are scaled after the prompt is put in place", async () => {
  const scaleOf = async (family: string): Promise<number> => {
    const { trainable, close } = await openTrainable(family);
    await close();
    return embeddingScale(trainable.graph);
  };
  expect(await scaleOf("llama-3")).toBe(1);
  expect(await scaleOf("gemma-3")).toBeGreaterThan(1);
  expect(await scaleOf("granite")).not.toBe(1);
});

test("P-tuning: virtualTokens and hidden", async () => {
  const made = await apply("llama-3", pTuning({ virtualTokens: 2, hidden: 5 }));
  expect(made.shapes).toEqual({
    "prompt.encoder.embedding": "2x32",
    "prompt.encoder.first": "5x32",
    "prompt.encoder.first.bias": "5",
    "prompt.encoder.second": "5x5",
    "prompt.encoder.second.bias": "5",
    "prompt.encoder.third": "32x5",
    "prompt.encoder.third.bias": "32",
  });
  expect((await apply("llama-3", pTuning({ virtualTokens: 4 }))).shapes).toMatchObject({
    "prompt.encoder.embedding": "4x32",
    "prompt.encoder.second": "32x32",
  });
  expect(promptEncoderGraph(32, { virtualTokens: 4, hidden: 5 }).outputs.get("rows")!.shape).toEqual([4, 32]);
  expect(() => pTuning({ virtualTokens: 2, hidden: 0 })).toThrow(refused(/hidden is 0/));
  expect(() => pTuning({ virtualTokens: 0 })).toThrow(refused(/virtualTokens is 0/));
  expect(() => pTuning({ virtualTokens: 2, initial: "random" } as { virtualTokens: number })).toThrow(refused(/unknown option "initial"/));
});

test("prefix tuning: virtualTokens, initial and projection", async () => {
  const made = await apply("llama-3", prefixTuning({ virtualTokens: 2 }));
  expect(Object.keys(made.shapes)).toHaveLength(6);
  expect(made.shapes).toMatchObject({ "prefix.key.0": "2x32", "prefix.value.2": "2x32" });
  expect(deviation((await apply("llama-3", prefixTuning({ virtualTokens: 50 }))).numbers.get("prefix.key.1")!)).toBeCloseTo(1, 1);
  const zero = await apply("llama-3", prefixTuning({ virtualTokens: 2, initial: "zero" }));
  for (const numbers of zero.numbers.values()) expect(deviation(numbers)).toBe(0);
  const projected = await apply("llama-3", prefixTuning({ virtualTokens: 2, projection: 4 }));
  expect(projected.shapes).toEqual({
    "prefix.encoder.embedding": "2x32",
    "prefix.encoder.first": "4x32",
    "prefix.encoder.first.bias": "4",
    "prefix.encoder.second": "192x4",
    "prefix.encoder.second.bias": "192",
  });
  const silent = await apply("llama-3", prefixTuning({ virtualTokens: 2, projection: 4, initial: "zero" }));
  expect(deviation(silent.numbers.get("prefix.encoder.second")!)).toBe(0);
  expect(deviation(silent.numbers.get("prefix.encoder.first")!)).toBeGreaterThan(0);
  const graph = prefixEncoderGraph(prefixWidths(made.graph), { virtualTokens: 2, projection: 4 });
  expect([...graph.outputs].map(([name, { shape }]) => `${name} ${shape.join("x")}`)).toContain("prefix.value.2 2x32");
  expect(() => prefixTuning({ virtualTokens: 2, projection: 0 })).toThrow(refused(/projection is 0/));
  expect(() => prefixTuning({ virtualTokens: 2, initial: "one" as "zero" })).toThrow(refused(/initial is "one"/));
  expect(() => prefixTuning({ virtualTokens: 2, project: 3 } as { virtualTokens: number })).toThrow(refused(/did you mean projection/));
});

test("serial adapters: size, activation, places, deviation, norms", async () => {
  const made = await apply("llama-3", serialAdapters({ size: 3 }));
  expect(made.shapes).toMatchObject({
    "layers.0.attention.output.adapter.down": "3x32",
    "layers.2.mlp.down.adapter.up": "32x3",
    "layers.2.mlp.down.adapter.up.bias": "32",
    norm: "32",
    "layers.1.mlpNorm": "32",
  });
  // 6 adapters of 2·3·32 + 3 + 32, and 7 norms of 32.
  expect(made.count).toBe(6 * (2 * 3 * 32 + 3 + 32) + 7 * 32);
  expect((await apply("llama-3", serialAdapters({ size: 3, norms: false }))).count).toBe(6 * (2 * 3 * 32 + 3 + 32));
  expect((await apply("llama-3", serialAdapters())).shapes["layers.0.mlp.down.adapter.down"]).toBe("64x32");
  expect(await inFirst(serialAdapters({ places: ["mlp"], norms: false }))).toEqual(
    ["down", "down.bias", "up", "up.bias"].map((end) => `mlp.down.adapter.${end}`),
  );
  expect(await inFirst(serialAdapters({ places: ["attention"], norms: false }))).toContain("attention.output.adapter.up");
  const wide = await apply("llama-3", serialAdapters({ deviation: 0.5 }));
  expect(deviation(wide.numbers.get("layers.0.mlp.down.adapter.down")!)).toBeCloseTo(0.5, 1);
  expect(deviation((await apply("llama-3", serialAdapters())).numbers.get("layers.0.mlp.down.adapter.up")!)).toBeCloseTo(0.01, 3);
  const kinds = async (technique: TuningTechnique): Promise<unknown[]> =>
    valuesOf((await apply("llama-3", technique)).graph).flatMap(({ attributes }) => attributes["kind"] ?? []);
  expect(await kinds(serialAdapters())).toContain("gelu");
  expect(await kinds(serialAdapters({ activation: "tanh" }))).toContain("tanh");
});

test("parallel adapters: scale, activation, places, size", async () => {
  const scales = async (technique: TuningTechnique): Promise<unknown[]> =>
    valuesOf((await apply("llama-3", technique)).graph).flatMap(({ op, attributes }) => (op === "scale" ? [attributes["by"]] : []));
  expect(await scales(parallelAdapters())).toEqual([4, 4, 4]);
  expect(await scales(parallelAdapters({ scale: 2 }))).toEqual([2, 2, 2]);
  expect(await scales(parallelAdapters({ places: ["attention", "mlp"] }))).toHaveLength(6);
  expect((await apply("llama-3", parallelAdapters({ size: 7 }))).count).toBe(3 * (2 * 7 * 32 + 7 + 32));
  const graph = (await apply("llama-3", parallelAdapters({ activation: "silu" }))).graph;
  expect(valuesOf(graph).filter(({ op, attributes }) => op === "activation" && attributes["kind"] === "silu")).toHaveLength(3);
});

test("adapters refuse what they don't know", () => {
  for (const make of [serialAdapters, parallelAdapters]) {
    expect(() => make({ size: 0 })).toThrow(refused(/size is 0/));
    expect(() => make({ activation: "gelo" as "gelu" })).toThrow(refused(/activation "gelo" is unknown; did you mean "gelu"/));
    expect(() => make({ places: [] })).toThrow(refused(/places is \[\]/));
    expect(() => make({ places: ["mlpp" as "mlp"] })).toThrow(refused(/places "mlpp" is unknown; did you mean "mlp"/));
    expect(() => make({ sizes: 3 } as object)).toThrow(refused(/did you mean size/));
  }
  expect(() => serialAdapters({ deviation: -1 })).toThrow(refused(/deviation is -1/));
  expect(() => parallelAdapters({ scale: 0 })).toThrow(refused(/scale is 0/));
  expect(() => parallelAdapters({ scale: Number.NaN })).toThrow(refused(/scale is NaN/));
});

test("techniques combine, but none is applied twice, and only one puts rows in front", async () => {
  const { trainable, context, close } = await openTrainable("llama-3");
  const both = await promptTuning({ virtualTokens: 2 }).apply(await ia3().apply(trainable, context), context);
  expect([both.trained.size, both.virtualTokens]).toEqual([10, 2]);
  const onTop = await serialAdapters({ size: 2, norms: false }).apply(await ia3().apply(trainable, context), context);
  expect(onTop.trained.size).toBe(9 + 24);
  await expect(ia3().apply(await ia3().apply(trainable, context), context)).rejects.toThrow(
    refused(/IA3: the model has a weight .* already/),
  );
  await expect(prefixTuning({ virtualTokens: 2 }).apply(both, context)).rejects.toThrow(
    refused(/put virtual rows in front of the text already/),
  );
  await close();
});

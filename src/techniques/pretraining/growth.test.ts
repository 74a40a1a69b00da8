/** A trained model starts a larger one: by stacking, and by a learned map that begins as an exact one. */
import { expect, test } from "vitest";
import { measure, openTrainable, packTexts } from "../../../testing/tuning.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import type { Weights } from "../../backends/backend.ts";
import { decodeWeights } from "../../backends/weights.ts";
import { type Graph, sourceName, valuesOf } from "../../graph/value.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { untrainedModel } from "../../models/untrained.ts";
import { opRules } from "../../ops/builder.ts";
import { trainingPrograms } from "../../training/programs.ts";
import type { Trainable } from "../../training/trainable.ts";
import { adamw } from "../../training/update-rules/adamw.ts";
import { type Growth, type GrowthOptions, grownWeights, learnedGrowth } from "./learned-growth.ts";
import { stackLayers } from "./progressive-stacking.ts";

const backend = createReferenceBackend();
const small = {
  model_type: "llama",
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  tie_word_embeddings: false,
  initializer_range: 0.2,
};
const deeper = { ...small, num_hidden_layers: 4 };
const wider = {
  ...small,
  hidden_size: 32,
  intermediate_size: 40,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  num_hidden_layers: 3,
};

interface Made {
  readonly graph: Graph;
  readonly weights: Weights;
}
function make(config: object, seed = 1): Made {
  const { model, weights } = untrainedModel("test", config as Record<string, unknown>, seed);
  return { graph: model.graphs()["score"]!, weights };
}
const trainable = ({ graph, weights }: Made, trained: Iterable<string> = []): Trainable => ({
  graph,
  weights,
  trained: new Set(trained),
  virtualTokens: 0,
});

/** Texts that count on in steps: the next token follows from the two before. */
const texts = Array.from({ length: 3 }, (_, i) => Array.from({ length: 10 }, (__, j) => (3 + i * 5 + j * (1 + (i % 3))) % 40));
const packed = packTexts(texts);
const logits = async (made: Made): Promise<Float32Array> => (await measure(backend, trainable(made), packed, new Set())).logits;
const difference = (a: Float32Array, b: Float32Array): number => a.reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i]!)), 0);
const refused = (message: RegExp): unknown =>
  expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) });

/** Losses of some steps on the same texts, and the trained numbers. */
async function train(
  model: Trainable,
  steps: number,
  rate = 0.01,
): Promise<{ losses: number[]; numbers: ReadonlyMap<string, Float32Array> }> {
  const { graphs, weights, parameters } = trainingPrograms(model, adamw({ weightDecay: 0 }));
  verifyGraph(graphs.step, opRules);
  const loaded = await backend.load({ step: graphs.step }, weights, { caps: packed.symbols });
  const losses: number[] = [];
  const { virtual: _, ...inputs } = packed.inputs;
  for (let count = 1; count <= steps; count++) {
    const step = { ...inputs, rate: Float32Array.of(rate), count: Float32Array.of(count) };
    losses.push((await loaded.run({ program: "step", symbols: packed.symbols, inputs: step }))["loss"]![0]!);
  }
  const numbers = new Map<string, Float32Array>();
  for (const name of parameters) numbers.set(name, await loaded.readWeight(name));
  await loaded.dispose();
  return { losses, numbers };
}
const everyWeight = ({ graph }: Made): string[] => valuesOf(graph).flatMap((value) => (value.op === "weight" ? [sourceName(value)] : []));
const withNumbers = ({ graph, weights }: Made, numbers: ReadonlyMap<string, Float32Array>): Made => ({
  graph,
  weights: new Map(
    [...weights].map(([name, weight]) => [
      name,
      numbers.has(name) ? { ...weight, content: { values: async () => numbers.get(name)!.slice() } } : weight,
    ]),
  ),
});

async function numbersOf({ graph, weights }: Made, name: string): Promise<Float32Array> {
  const value = valuesOf(graph).find((each) => each.op === "weight" && sourceName(each) === name)!;
  return (await decodeWeights([value], weights, {})).get(name)!;
}

test("stacking puts copies of the layers on top of each other, or beside each other", async () => {
  const [from, to] = [make(small), make(deeper)];
  const sourcesOf = async (weights: Weights): Promise<number[]> => {
    const originals = [await numbersOf(from, "layers.0.mlp.up"), await numbersOf(from, "layers.1.mlp.up")];
    const copies = await Promise.all([0, 1, 2, 3].map((i) => numbersOf({ graph: to.graph, weights }, `layers.${i}.mlp.up`)));
    return copies.map((copy) => originals.findIndex((original) => difference(copy, original) === 0));
  };
  expect(await sourcesOf(stackLayers(from.weights, to.graph))).toEqual([0, 1, 0, 1]);
  expect(await sourcesOf(stackLayers(from.weights, to.graph, { order: "interleave" }))).toEqual([0, 0, 1, 1]);
  expect(await numbersOf({ graph: to.graph, weights: stackLayers(from.weights, to.graph) }, "embedding")).toEqual(
    await numbersOf(from, "embedding"),
  );
});

// Over six steps on the same texts, after 20 of the small model: untrained 3.85 -> 1.53, stacked 0.88 -> 0.22. Reported, not expected.
test("a stacked model goes on learning", async () => {
  const from = make(small);
  const { numbers } = await train(trainable(from, everyWeight(from)), 3);
  const { graph } = make(deeper);
  const stacked = { graph, weights: stackLayers(withNumbers(from, numbers).weights, graph) };
  const { losses } = await train(trainable(stacked, everyWeight(stacked)), 3);
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
});

test("stacking refuses models that differ in more than depth", () => {
  const from = make(small);
  expect(() => stackLayers(from.weights, make(wider).graph)).toThrow(
    refused(/"embedding" is \[40, 32\] in the deeper model.*\[40, 16\] in the trained/),
  );
  const tied = make({ ...deeper, tie_word_embeddings: true });
  expect(() => stackLayers(from.weights, tied.graph)).toThrow(refused(/the small model has "head", for which the large one has no place/));
  expect(() => learnedGrowth(from, tied.graph)).toThrow(refused(/the small model has "head"/));
  expect(() => stackLayers(make(deeper).weights, from.graph)).toThrow(refused(/4 layers cannot become 2/));
  expect(() => stackLayers(from.weights, make(deeper).graph, { order: "top" as "stack" })).toThrow(refused(/order is "top"/));
  expect(() => stackLayers(from.weights, make(deeper).graph, { orders: "stack" } as object)).toThrow(refused(/did you mean order/));
});

const grow = (options: GrowthOptions, config: object = wider): Growth => learnedGrowth(make(small), make(config).graph, options);

test.each([false, true])("without noise the grown model says what the small one says, tied head %s", async (tied) => {
  const [from, to] = [make({ ...small, tie_word_embeddings: tied }), make({ ...wider, tie_word_embeddings: tied })];
  const growth = learnedGrowth(from, to.graph, { noise: 0 });
  verifyGraph(growth.trainable.graph, opRules);
  verifyGraph(growth.grown, opRules);
  const wanted = await logits(from);
  expect(difference((await measure(backend, growth.trainable, packed, new Set())).logits, wanted)).toBeLessThan(1e-5);
  const weights = await grownWeights(growth, backend);
  expect(difference(await logits({ graph: to.graph, weights }), wanted)).toBeLessThan(1e-5);
});

test("learned growth: depth, noise, seed", async () => {
  const answers = async (options: GrowthOptions): Promise<Float32Array> =>
    (await measure(backend, grow(options).trainable, packed, new Set())).logits;
  const exact = await answers({ noise: 0 });
  const noisy = await answers({});
  expect(difference(noisy, exact)).toBeGreaterThan(1e-4);
  expect(difference(await answers({ noise: 0.1 }), exact)).toBeGreaterThan(difference(noisy, exact));
  expect(difference(await answers({ seed: 1 }), noisy)).toBeGreaterThan(1e-4);
  const [stacked, interleaved] = [await answers({ noise: 0, depth: "stack" }), await answers({ noise: 0, depth: "interleave" })];
  expect(difference(stacked, exact)).toBeGreaterThan(1e-3);
  expect(difference(interleaved, stacked)).toBeGreaterThan(1e-3);
  // Depth alone: the learned map begins as stacking.
  const growth = grow({ noise: 0, depth: "stack" }, deeper);
  const from = make(small);
  const stack = { graph: make(deeper).graph, weights: stackLayers(from.weights, make(deeper).graph) };
  expect(difference((await measure(backend, growth.trainable, packed, new Set())).logits, await logits(stack))).toBeLessThan(1e-5);
});

test("the map is trained, and what it gives is a model of its own", async () => {
  const growth = grow({});
  expect([...growth.trainable.trained].filter((name) => !name.startsWith("growth."))).toEqual([]);
  const { losses, numbers } = await train(growth.trainable, 6);
  expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.1);
  const weights = await grownWeights(growth, backend, async (name) => numbers.get(name)!);
  const made = { graph: make(wider).graph, weights };
  const continued = await train(trainable(made, everyWeight(made)), 1);
  expect(continued.losses[0]).toBeLessThan(losses.at(-1)!);
});

test("learned growth refuses what it cannot map", async () => {
  expect(() => grow({}, { ...wider, vocab_size: 41 })).toThrow(refused(/"embedding" is \[40, 16\] in the small model and \[41, 32\]/));
  expect(() => grow({}, { ...wider, head_dim: 16 })).toThrow(refused(/heads have 8 channels in the small model and 16/));
  expect(() => grow({}, { ...wider, num_hidden_layers: 1 })).toThrow(refused(/2 layers cannot become 1/));
  expect(() => grow({}, { ...wider, intermediate_size: 8 })).toThrow(refused(/"layers.0.mlp.gate" is \[24, 16\]/));
  expect(() => grow({ noise: -1 })).toThrow(refused(/noise is -1/));
  expect(() => grow({ depth: "top" as "stack" })).toThrow(refused(/depth is "top"; give one of stack, interleave, identity/));
  expect(() => grow({ noises: 1 } as object)).toThrow(refused(/did you mean noise/));
  const { trainable: experts, close } = await openTrainable("mixtral");
  await close();
  expect(() => learnedGrowth(experts, experts.graph)).toThrow(/nobody has said how "layers.0.experts/);
});

import { expect, test } from "vitest";
import { fixtures, openFixture } from "../../testing/families.ts";
import { decodeWeights } from "../backends/weights.ts";
import { encodeSafetensors } from "../formats/safetensors-write.ts";
import { readSafetensors } from "../formats/safetensors.ts";
import { inOrder } from "../graph/value.ts";
import { bytesSource } from "../tensor/source.ts";
import type { Checkpoint, Model } from "./family.ts";
import { openModel } from "./index.ts";
import { untrainedModel } from "./untrained.ts";
import { tensorsWith } from "./write-back.ts";

const huggingface = fixtures.filter(({ kind }) => kind === "huggingface");

async function numbersOf(model: Model, weights = model.weights): Promise<ReadonlyMap<string, Float32Array>> {
  const graph = Object.values(model.graphs())[0]!;
  return decodeWeights(
    inOrder(graph.outputs.values()).filter(({ op }) => op === "weight"),
    weights,
    {},
  );
}

async function reopened(checkpoint: Checkpoint, model: Model, changed: ReadonlyMap<string, Float32Array>): Promise<Model> {
  const bytes = await encodeSafetensors(tensorsWith(checkpoint, model, changed.keys(), async (name) => changed.get(name)!));
  const { tensors } = await readSafetensors(bytesSource("written", bytes));
  return openModel({ ...(checkpoint as Extract<Checkpoint, { kind: "huggingface" }>), tensors });
}

test.each(huggingface)("$name: every weight comes back as it was written", async (fixture) => {
  const checkpoint = await openFixture(fixture);
  const model = openModel(checkpoint);
  const before = await numbersOf(model);
  const changed = new Map(
    [...before]
      .filter(([name]) => !name.startsWith("rope."))
      .map(([name, numbers]) => [name, numbers.map((x, i) => x + ((i % 7) - 3) / 8)]),
  );
  const after = await numbersOf(await reopened(checkpoint, model, changed));
  for (const [name, numbers] of after)
    for (const [i, x] of numbers.entries()) expect(Math.abs(x - (changed.get(name) ?? before.get(name)!)[i]!), name).toBeLessThan(1e-6);
  await checkpoint.close();
});

test("a tensor without a changed weight is copied, byte for byte", async () => {
  const checkpoint = await openFixture(huggingface.find(({ name }) => name === "llama-3")!);
  const model = openModel(checkpoint);
  const before = await numbersOf(model);
  const name = "layers.0.mlp.up";
  const after = await numbersOf(await reopened(checkpoint, model, new Map([[name, before.get(name)!.map(() => 0.5)]])));
  for (const [each, numbers] of after) expect(numbers).toEqual(each === name ? before.get(name)!.map(() => 0.5) : before.get(each)!);
  await checkpoint.close();
});

test.each(huggingface)("$name: begins anew from its configuration alone", async (fixture) => {
  const original = await openFixture(fixture);
  if (original.kind !== "huggingface") throw new Error("not a directory");
  if (openModel(original).kind !== "text") return;
  const { checkpoint, model, weights } = untrainedModel("new", original.config, 7);
  const numbers = await numbersOf(model, weights);
  expect(model.parameters).toBe(openModel(original).parameters);
  for (const [name, values] of numbers) {
    if (name.startsWith("rope.")) continue;
    if (name.endsWith(".bias")) expect(values.every((x) => x === 0)).toBe(true);
    else if (/[nN]orm$/.test(name))
      expect(
        values.every((x) => x === 1),
        name,
      ).toBe(true);
    else
      expect(
        values.some((x) => x !== values[0]),
        name,
      ).toBe(true);
  }
  const again = await numbersOf(await reopened(checkpoint, model, new Map([...numbers].filter(([name]) => !name.startsWith("rope.")))));
  for (const [name, values] of again) values.forEach((x, i) => expect(Math.abs(x - numbers.get(name)![i]!)).toBeLessThan(1e-6));
  await original.close();
});

test("first numbers: by seed and name, of the deviation that the configuration says", async () => {
  const original = await openFixture(huggingface.find(({ name }) => name === "llama-3")!);
  if (original.kind !== "huggingface") throw new Error("not a directory");
  const numbers = async (seed: number, more: object = {}) => {
    const { model, weights } = untrainedModel("new", { ...original.config, ...more }, seed);
    return numbersOf(model, weights);
  };
  const deviation = (values: Float32Array): number => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  const first = await numbers(1, { initializer_range: 0.02 });
  expect(await numbers(1, { initializer_range: 0.02 })).toEqual(first);
  expect((await numbers(2)).get("embedding")).not.toEqual(first.get("embedding"));
  expect(first.get("layers.0.mlp.up")).not.toEqual(first.get("layers.0.mlp.gate"));
  expect(deviation(first.get("embedding")!)).toBeCloseTo(0.02, 3);
  const layers = (original.config as { num_hidden_layers: number }).num_hidden_layers;
  expect(deviation(first.get("layers.0.mlp.down")!)).toBeCloseTo(0.02 / Math.sqrt(2 * layers), 3);
  expect(deviation((await numbers(1, { initializer_range: 0.1 })).get("embedding")!)).toBeCloseTo(0.1, 2);
  await original.close();
});

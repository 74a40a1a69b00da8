/** Layouts that other programs write: the same numbers stored otherwise give the same weights. */
import { describe, expect, test } from "vitest";
import { openFixture } from "../../testing/families.ts";
import type { Weight } from "../backends/backend.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { bytesSource } from "../tensor/source.ts";
import { type Shape, size } from "../tensor/shape.ts";
import { decodeTensor, type StoredTensor } from "../tensor/stored.ts";
import type { Checkpoint, Model } from "./family.ts";
import { openModel } from "./index.ts";

type Numbers = Map<string, { readonly shape: Shape; readonly values: Float32Array }>;

/** A fixture with its tensors in memory, changed and written anew. */
async function rewritten(
  name: string,
  kind: "huggingface" | "gguf",
  change: (tensors: Numbers) => void,
): Promise<{ before: Model; after: Model }> {
  const { close, ...checkpoint } = await openFixture({ name, kind });
  const numbers: Numbers = new Map();
  for (const [key, tensor] of checkpoint.tensors) numbers.set(key, { shape: tensor.shape, values: await decodeTensor(tensor) });
  await close();
  const before = openModel({ ...checkpoint, tensors: inMemory(numbers) } as Checkpoint);
  change(numbers);
  return { before, after: openModel({ ...checkpoint, tensors: inMemory(numbers) } as Checkpoint) };
}

const inMemory = (numbers: Numbers): ReadonlyMap<string, StoredTensor> =>
  new Map(
    [...numbers].map(([name, { shape, values }]) => {
      const source = bytesSource(name, new Uint8Array(values.slice().buffer));
      return [name, { name, shape, format: formatByName("F32"), source, offset: 0, byteLength: 4 * size(shape) }];
    }),
  );

async function numbersOf({ shape, content }: Weight): Promise<number[]> {
  if ("values" in content) return [...(await content.values())];
  const all: number[] = [];
  for (const { tensor, first, count } of content.rows) {
    const width = tensor.shape.at(-1)!;
    all.push(...(await decodeTensor(tensor)).subarray(first * width, (first + count) * width));
  }
  expect(all.length).toBe(size(shape));
  return all;
}

async function expectSameWeights({ before, after }: { before: Model; after: Model }): Promise<void> {
  expect([...after.weights.keys()]).toEqual([...before.weights.keys()]);
  for (const [name, weight] of before.weights) expect(await numbersOf(after.weights.get(name)!), name).toEqual(await numbersOf(weight));
}

const joined = (tensors: Numbers, names: readonly string[], shape: Shape): { shape: Shape; values: Float32Array } => {
  const values = Float32Array.from(names.flatMap((name) => [...tensors.get(name)!.values]));
  names.forEach((name) => tensors.delete(name));
  return { shape, values };
};

describe("GGUF", () => {
  test("queries, keys and values in one tensor, weights and biases", async () => {
    const models = await rewritten("llama-linear-bias", "gguf", (tensors) => {
      for (const layer of [0, 1]) {
        const names = (kind: string): string[] => ["q", "k", "v"].map((part) => `blk.${layer}.attn_${part}.${kind}`);
        tensors.set(`blk.${layer}.attn_qkv.weight`, joined(tensors, names("weight"), [80, 48]));
        tensors.set(`blk.${layer}.attn_qkv.bias`, joined(tensors, names("bias"), [80]));
      }
    });
    await expectSameWeights(models);
  });

  test("gate and up in one tensor", async () => {
    const models = await rewritten("qwen-2", "gguf", (tensors) => {
      for (const layer of [0, 1])
        tensors.set(
          `blk.${layer}.ffn_up.weight`,
          joined(tensors, [`blk.${layer}.ffn_gate.weight`, `blk.${layer}.ffn_up.weight`], [128, 32]),
        );
    });
    await expectSameWeights(models);
  });

  test("a tensor for each expert", async () => {
    const models = await rewritten("mixtral", "gguf", (tensors) => {
      const entries = [...tensors];
      for (const [key, { shape, values }] of entries) {
        const match = /^(blk\.\d+\.ffn_\w+)_exps\.weight$/.exec(key);
        if (!match) continue;
        tensors.delete(key);
        const each = values.length / shape[0]!;
        for (let e = 0; e < shape[0]!; e++)
          tensors.set(`${match[1]}.${e}.weight`, { shape: shape.slice(1), values: values.slice(e * each, (e + 1) * each) });
      }
    });
    await expectSameWeights(models);
  });

  test("gates and ups of all experts in one tensor", async () => {
    const models = await rewritten("olmoe", "gguf", (tensors) => {
      for (const layer of [0, 1]) {
        const [gate, up] = ["gate", "up"].map((part) => tensors.get(`blk.${layer}.ffn_${part}_exps.weight`)!.values) as [
          Float32Array,
          Float32Array,
        ];
        const each = gate.length / 6;
        const values = Float32Array.from({ length: 2 * gate.length }, (_, i) => {
          const [expert, at] = [Math.floor(i / (2 * each)), i % (2 * each)];
          return at < each ? gate[expert * each + at]! : up[expert * each + at - each]!;
        });
        for (const part of ["gate", "up"]) tensors.delete(`blk.${layer}.ffn_${part}_exps.weight`);
        tensors.set(`blk.${layer}.ffn_gate_up_exps.weight`, { shape: [6, 64, 32], values });
      }
    });
    await expectSameWeights(models);
  });
});

describe("Hugging Face", () => {
  test("experts stacked", async () => {
    const models = await rewritten("qwen-3-moe", "huggingface", (tensors) => {
      for (const layer of [0, 1]) {
        const path = `model.layers.${layer}.mlp.experts`;
        const experts = [0, 1, 2, 3, 4, 5];
        const down = joined(
          tensors,
          experts.map((e) => `${path}.${e}.down_proj.weight`),
          [6, 32, 32],
        );
        const both = joined(
          tensors,
          experts.flatMap((e) => [`${path}.${e}.gate_proj.weight`, `${path}.${e}.up_proj.weight`]),
          [6, 64, 32],
        );
        tensors.set(`${path}.down_proj`, down).set(`${path}.gate_up_proj`, both);
      }
    });
    await expectSameWeights(models);
  });

  test("the first BERT files' names of norms", async () => {
    const models = await rewritten("bert", "huggingface", (tensors) => {
      const entries = [...tensors];
      for (const [key, value] of entries) {
        const old = key.replace(/LayerNorm\.weight$/, "LayerNorm.gamma").replace(/LayerNorm\.bias$/, "LayerNorm.beta");
        tensors.delete(key);
        tensors.set(old, value);
      }
    });
    await expectSameWeights(models);
  });

  test("a head that is stored counts for more than one that is said to be tied", async () => {
    const { before, after } = await rewritten("qwen-3", "huggingface", (tensors) =>
      tensors.set("lm_head.weight", { shape: [131, 32], values: new Float32Array(131 * 32).fill(2) }),
    );
    expect(before.weights.has("head")).toBe(false);
    expect((await numbersOf(after.weights.get("head")!))[0]).toBe(2);
    expect(after.summary["tiedHead"]).toBe(false);
  });
});

describe("classifiers of sequences", () => {
  const matrix = (rows: number, columns: number, seed: number): { shape: Shape; values: Float32Array } => ({
    shape: columns === 0 ? [rows] : [rows, columns],
    values: Float32Array.from({ length: rows * Math.max(columns, 1) }, (_, i) => Math.sin(seed + i)),
  });
  const times = ({ shape, values }: { shape: Shape; values: Float32Array }, bias: Float32Array, x: ArrayLike<number>): number[] =>
    Array.from({ length: shape[0]! }, (_, o) =>
      Array.from({ length: shape[1]! }).reduce<number>((sum, __, i) => sum + values[o * shape[1]! + i]! * x[i]!, bias[o]!),
    );

  test.each([
    ["bert", undefined, "classifier", (x: number) => x],
    ["roberta", "classifier.dense", "classifier.out_proj", Math.tanh],
    ["distilbert", "pre_classifier", "classifier", (x: number) => Math.max(x, 0)],
  ] as const)("%s", async (name, inner, outer, activation) => {
    const [first, second] = [matrix(32, 32, 1), matrix(3, 32, 2)];
    const { after } = await rewritten(name, "huggingface", (tensors) => {
      if (inner !== undefined) tensors.set(`${inner}.weight`, first).set(`${inner}.bias`, matrix(32, 0, 3));
      tensors.set(`${outer}.weight`, second).set(`${outer}.bias`, matrix(3, 0, 4));
    });
    const embed = after.graphs()["embed"]!;
    const symbols = { T: 3, S: 1, C: 1, R: 1 };
    const loaded = await createReferenceBackend().load({ embed }, after.weights, { caps: symbols });
    const segments = name === "distilbert" ? {} : { segments: Int32Array.of(0, 0, 0) };
    const inputs = { tokens: Int32Array.of(7, 8, 9), positions: Int32Array.of(0, 1, 2), rowOffsets: Int32Array.of(0, 3), ...segments };
    const outputs = await loaded.run({ program: "embed", symbols, inputs });
    const hidden =
      inner === undefined ? outputs["poolerOutput"]! : times(first, matrix(32, 0, 3).values, outputs["lastHiddenState"]!).map(activation);
    const wanted = times(second, matrix(3, 0, 4).values, hidden);
    expect(outputs["logits"]!.length).toBe(3);
    wanted.forEach((value, i) => expect(outputs["logits"]![i]).toBeCloseTo(value, 4));
    await loaded.dispose();
  });
});

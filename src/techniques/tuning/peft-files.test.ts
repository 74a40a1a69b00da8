/** Reading adapters that do not fit, and a published one: the adapter of the LoRA paper for RoBERTa. */
import { describe, expect, test } from "vitest";
import { openFixture } from "../../../testing/families.ts";
import { sharedData } from "../../../testing/shared.ts";
import type { PeftConfig } from "../../formats/peft-config.ts";
import { encodeSafetensors } from "../../formats/safetensors-write.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import { openModel } from "../../models/index.ts";
import { moduleTensors } from "../../models/modules.ts";
import { untrainedModel } from "../../models/untrained.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import { bytesSource } from "../../tensor/source.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { opRules } from "../../ops/builder.ts";
import type { Adapter } from "./adapter.ts";
import { openAdaptedModel, openAdapter } from "./open-adapter.ts";
import { readPeftAdapter, type ReadAdapterOptions } from "./peft-files.ts";

type Shapes = Readonly<Record<string, readonly number[]>>;
const lora: PeftConfig = { type: "LORA", rank: 2, alpha: 8, targetModules: ["q_proj"] };
const module = (layer: number): string => `model.layers.${layer}.self_attn.q_proj`;
const pair = (layer: number, inputs = 32, outputs = 64, rank = 2): Shapes => ({
  [`${module(layer)}.lora_A.weight`]: [rank, inputs],
  [`${module(layer)}.lora_B.weight`]: [outputs, rank],
});
const all: Shapes = { ...pair(0), ...pair(1), ...pair(2) };

async function read(shapes: Shapes, config: PeftConfig | undefined, options: ReadAdapterOptions = {}, fill = 0.5): Promise<Adapter> {
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill);
    return { name, shape, format: formatByName("F32"), bytes: new Uint8Array(values.buffer) };
  });
  const file = await readSafetensors(bytesSource("adapter", await encodeSafetensors(tensors)));
  const checkpoint = await openFixture({ name: "llama-3", kind: "huggingface" });
  const model = openModel(checkpoint);
  await checkpoint.close();
  return readPeftAdapter("adapter", { ...file, config, metadata: new Map() }, model, options);
}

describe("an adapter", () => {
  test("gives each linear its numbers and scale", async () => {
    const { weights, scales } = await read(all, lora);
    expect([...weights.keys()].filter((name) => name.startsWith("layers.1"))).toEqual([
      "layers.1.attention.query.loraA",
      "layers.1.attention.query.loraB",
    ]);
    expect(scales.get("layers.2.attention.query")).toBe(4);
    expect((await read(all, { ...lora, rslora: true })).scales.get("layers.2.attention.query")).toBeCloseTo(8 / Math.SQRT2);
    const patterned = await read(all, { ...lora, alphaPattern: { [`^model\\.layers\\.1\\.self_attn\\.q_proj`]: 2 } });
    expect([...patterned.scales.values()]).toEqual([4, 1, 4]);
  });

  test("without a configuration needs its alpha said", async () => {
    await expect(read(all, undefined)).rejects.toThrow(/give its alpha \(it is divided by the rank, 2\)/);
    expect((await read(all, undefined, { alpha: 6 })).scales.get("layers.0.attention.query")).toBe(3);
    await expect(read(all, lora, { alpha: 6 })).rejects.toThrow(/says its own alpha/);
    await expect(read({ [`${module(0)}.ia3_l`]: [64, 1] }, undefined, { alpha: 6 })).rejects.toThrow(/only LoRA can be read without one/);
  });

  const ia3: PeftConfig = { type: "IA3", feedforwardModules: [] };
  test.each<[string, Shapes, PeftConfig, string, RegExp]>([
    [
      "of a wider base",
      { ...all, ...pair(0, 64) },
      lora,
      "FRUGAL_BAD_ARGUMENT",
      /is \[2, 64\], but this model needs \[2, 32\].*another base/,
    ],
    ["of a base with fewer layers", { ...pair(0), ...pair(1) }, lora, "FRUGAL_BAD_ARGUMENT", /adapts 2 layers, but the model has 3/],
    ["of a base with more layers", { ...all, ...pair(3) }, lora, "FRUGAL_BAD_ARGUMENT", /adapts model\.layers\.3.*nearest/],
    [
      "of another family",
      { "transformer.h.0.attn.c_attn.lora_A.weight": [2, 32] },
      lora,
      "FRUGAL_BAD_ARGUMENT",
      /c_attn, which this model has not/,
    ],
    ["of another rank", { ...all, ...pair(1, 32, 64, 3) }, lora, "FRUGAL_BAD_FILE", /the rank of .* is 3, but the configuration says 2/],
    [
      "with half a pair",
      { ...pair(0), ...pair(1), [`${module(2)}.lora_A.weight`]: [2, 32] },
      lora,
      "FRUGAL_BAD_FILE",
      /the loraB of .* is missing/,
    ],
    ["without its magnitudes", all, { ...lora, dora: true }, "FRUGAL_BAD_FILE", /the magnitude of .* is missing/],
    [
      "with parts of another kind",
      { ...all, [`${module(0)}.ia3_l`]: [64, 1] },
      lora,
      "FRUGAL_BAD_FILE",
      /which an adapter of kind LORA has not/,
    ],
    ["of an embedding", { "model.embed_tokens.lora_embedding_A": [2, 131] }, lora, "FRUGAL_UNSUPPORTED", /table of embeddings/],
    ["with a bias of its own", { ...all, [`${module(0)}.lora_B.bias`]: [64] }, lora, "FRUGAL_UNSUPPORTED", /a bias of LoRA itself/],
    ["with something else", { ...all, mystery: [1] }, lora, "FRUGAL_UNSUPPORTED", /"mystery" is no part of an adapter/],
    ["with a pattern that is no name", all, { ...lora, alphaPattern: { ".*q.*": 1 } }, "FRUGAL_UNSUPPORTED", /only names of modules/],
    [
      "with a vector of the wrong side",
      { [`${module(0)}.ia3_l`]: [1, 32] },
      ia3,
      "FRUGAL_BAD_ARGUMENT",
      /is \[1, 32\], but this model needs \[64, 1\]/,
    ],
    [
      "of VeRA without its matrices",
      { [`${module(0)}.vera_lambda_b`]: [64], [`${module(0)}.vera_lambda_d`]: [4] },
      { type: "VERA", rank: 4 },
      "FRUGAL_UNSUPPORTED",
      /save_projection/,
    ],
  ])("%s is refused", async (_, shapes, config, code, message) => {
    await expect(read(shapes, config)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  test("that is not finite is refused", async () => {
    await expect(read(all, lora, {}, NaN)).rejects.toMatchObject({
      code: "FRUGAL_NUMERIC",
      message: expect.stringMatching(/lora_A/) as string,
    });
  });

  test("only of some layers is taken where the configuration says so", async () => {
    const some = { ...pair(0), ...pair(1) };
    expect((await read(some, { ...lora, layers: [0, 1] })).scales.size).toBe(2);
    expect((await read(some, { ...lora, targetModules: "model\\.layers\\.[01]\\..*" })).scales.size).toBe(2);
  });

  test("may hold more than its linears", async () => {
    const { replaced, further } = await read({ ...all, "model.norm.weight": [32], "score.weight": [2, 32] }, lora);
    expect([...replaced.keys()]).toEqual(["norm"]);
    expect([...further.keys()]).toEqual(["score.weight"]);
    await expect(read({ ...all, "model.norm.weight": [16] }, lora)).rejects.toThrow(/is \[16\], but this model needs \[32\]/);
  });
});

const published = sharedData("checkpoints/lora-roberta-mnli/roberta_base_lora_mnli.safetensors");
test.skipIf(published.skip)("the LoRA paper's adapter for RoBERTa brings its classifier along", async () => {
  const config = {
    model_type: "roberta",
    vocab_size: 50265,
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    max_position_embeddings: 514,
    type_vocab_size: 1,
    hidden_act: "gelu",
    layer_norm_eps: 1e-5,
    pad_token_id: 1,
  };
  // The base itself, 500 MB, is not needed: what is read of it are shapes.
  const { checkpoint } = untrainedModel("roberta-base", config, 0);
  const base = openModel(checkpoint);
  const adapter = await openAdapter(published.path, checkpoint, base, { alpha: 16 });
  expect(adapter.config).toMatchObject({ type: "LORA", rank: 8, alpha: 16 });
  expect(adapter.scales.size).toBe(24);
  expect([...adapter.further.keys()].sort()).toEqual([
    "classifier.dense.bias",
    "classifier.dense.weight",
    "classifier.out_proj.bias",
    "classifier.out_proj.weight",
  ]);
  const model = await openAdaptedModel(published.path, checkpoint, { alpha: 16 });
  const graph = model.graphs()["embed"]!;
  verifyGraph(graph, opRules);
  expect(graph.outputs.get("logits")!.shape[1]).toBe(3);
  expect(model.weights.get("layers.11.attention.value.adapterB")!.shape).toEqual([768, 8]);
  expect(moduleTensors(model).has("classifier.out_proj.weight")).toBe(true);
  await expect(openAdapter(published.path, checkpoint, base)).rejects.toThrow(/give its alpha/);
});

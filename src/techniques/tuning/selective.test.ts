/** Selective techniques train exactly the weights they name. */
import { expect, test } from "vitest";
import { openFixture } from "../../../testing/families.ts";
import { openTrainable } from "../../../testing/tuning.ts";
import { sourceName, valuesOf } from "../../graph/value.ts";
import { openModel } from "../../models/index.ts";
import { size } from "../../tensor/shape.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { bitFit } from "./bitfit.ts";
import { ia3 } from "./ia3.ts";
import { layerFreezing } from "./layer-freezing.ts";
import { chooseNames, parameterNames } from "./name-patterns.ts";
import { normTuning } from "./norm-tuning.ts";
import { surgicalTuning } from "./surgical-tuning.ts";

async function trainedBy(family: string, ...techniques: readonly TuningTechnique[]): Promise<{ names: string[]; count: number }> {
  const { trainable, context, close } = await openTrainable(family);
  try {
    let tuned = trainable;
    for (const technique of techniques) tuned = await technique.apply(tuned, context);
    const values = valuesOf(tuned.graph).filter((value) => value.op === "weight" && tuned.trained.has(sourceName(value)));
    expect(values).toHaveLength(tuned.trained.size);
    return { names: [...tuned.trained].toSorted(), count: values.reduce((sum, { shape }) => sum + size(shape as number[]), 0) };
  } finally {
    await close();
  }
}
const refused = (message: RegExp, code = "FRUGAL_BAD_ARGUMENT"): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const perLayer = (layers: number, ends: readonly string[]): string[] =>
  Array.from({ length: layers }, (_, i) => ends.map((end) => `layers.${i}.${end}`)).flat();

test("BitFit trains every bias and nothing else", async () => {
  const projections = ["attention.query", "attention.key", "attention.value"];
  const qwen = await trainedBy("qwen-2", bitFit());
  expect(qwen.names).toEqual(
    perLayer(
      2,
      projections.map((name) => `${name}.bias`),
    ).toSorted(),
  );
  const gpt = await trainedBy("gpt-2", bitFit());
  const ends = [...projections, "attention.output", "mlp.up", "mlp.down", "attentionNorm", "mlpNorm"].map((name) => `${name}.bias`);
  expect(gpt.names).toEqual([...perLayer(2, ends), "norm.bias"].toSorted());
});

test("BitFit: of", async () => {
  const some = await trainedBy("gpt-2", bitFit({ of: ["attention.query", "mlp.up"] }));
  expect(some.names).toEqual(perLayer(2, ["attention.query.bias", "mlp.up.bias"]));
  await expect(trainedBy("gpt-2", bitFit({ of: ["attention.qery"] }))).rejects.toThrow(
    refused(/of "attention.qery" fits no weight .* did you mean "attention.query"/),
  );
  await expect(trainedBy("llama-3", bitFit())).rejects.toThrow(refused(/the model has no biases/, "FRUGAL_UNSUPPORTED"));
  expect(() => bitFit({ off: [] } as object)).toThrow(refused(/did you mean of/));
});

test("LN-tuning: norms", async () => {
  const llama = await trainedBy("llama-3", normTuning());
  expect(llama.names).toEqual([...perLayer(3, ["attentionNorm", "mlpNorm"]), "norm"]);
  expect(llama.count).toBe(7 * 32);
  expect((await trainedBy("gpt-2", normTuning())).names).toContain("layers.1.mlpNorm.bias");
  expect((await trainedBy("qwen-3", normTuning())).names).not.toContain("layers.0.attention.queryNorm");
  expect((await trainedBy("qwen-3", normTuning({ norms: ["queryNorm"] }))).names).toContain("layers.0.attention.queryNorm");
  expect((await trainedBy("gpt-2", normTuning({ norms: ["norm"] }))).names).toEqual(["norm", "norm.bias"]);
  await expect(trainedBy("llama-3", normTuning({ norms: ["attnNorm"] }))).rejects.toThrow(refused(/norms "attnNorm" fits no weight/));
});

const layerWeights = [
  "attention.key",
  "attention.output",
  "attention.query",
  "attention.value",
  "attentionNorm",
  "mlp.down",
  "mlp.gate",
  "mlp.up",
  "mlpNorm",
];

test("layer freezing: layers, embedding, head", async () => {
  const last = perLayer(3, layerWeights).slice(2 * 9);
  expect((await trainedBy("llama-3", layerFreezing({ layers: 2 }))).names).toEqual([...last, "norm"]);
  expect((await trainedBy("llama-3", layerFreezing({ layers: [0, 1] }))).names).toEqual([...last, "norm"]);
  expect((await trainedBy("llama-3", layerFreezing({ layers: [0, -2], head: true }))).names).toEqual(last);
  expect((await trainedBy("llama-3", layerFreezing({ layers: 2, embedding: false }))).names).toEqual(["embedding", ...last, "norm"]);
  expect((await trainedBy("llama-2", layerFreezing({ layers: 1 }))).names.slice(0, 1)).toEqual(["head"]);
  expect((await trainedBy("llama-2", layerFreezing({ layers: 0, head: true }))).names).toEqual(perLayer(2, layerWeights));
  expect((await trainedBy("gpt-2", layerFreezing({ layers: 0 }))).names).not.toContain("positionEmbedding");
});

test("layer freezing takes from what another technique trains", async () => {
  expect((await trainedBy("llama-3", ia3(), layerFreezing({ layers: 2 }))).names).toEqual(
    ["attention.key.ia3", "attention.value.ia3", "mlp.down.ia3"].map((end) => `layers.2.${end}`),
  );
});

test("layer freezing refuses layers that are not there, and freezing all", async () => {
  await expect(trainedBy("llama-3", layerFreezing({ layers: 4 }))).rejects.toThrow(
    refused(/there is no layer 3; the model has 3, from 0 to 2/),
  );
  await expect(trainedBy("llama-3", layerFreezing({ layers: [-4] }))).rejects.toThrow(refused(/there is no layer -4/));
  await expect(trainedBy("llama-3", layerFreezing({ layers: 3, head: true }))).rejects.toThrow(refused(/nothing is left to train/));
  expect(() => layerFreezing({ layers: 1.5 })).toThrow(refused(/layers is 1.5/));
  expect(() => layerFreezing({} as { layers: number })).toThrow(refused(/layers is missing/));
  expect(() => layerFreezing({ layers: 1, heads: true } as { layers: number })).toThrow(refused(/did you mean head/));
});

test("selective tuning: layers, weights, except", async () => {
  const of = async (options: Parameters<typeof surgicalTuning>[0]): Promise<string[]> =>
    (await trainedBy("llama-3", surgicalTuning(options))).names;
  expect(await of({ layers: [-1] })).toEqual(perLayer(3, layerWeights).slice(18));
  expect(await of({ layers: "first" })).toEqual(perLayer(1, layerWeights));
  expect(await of({ layers: "middle" })).toEqual(layerWeights.map((end) => `layers.1.${end}`));
  expect(await of({ layers: "last", weights: ["mlp.*"] })).toEqual(["layers.2.mlp.down", "layers.2.mlp.gate", "layers.2.mlp.up"]);
  expect(await of({ weights: ["attention.query", "norm"] })).toEqual([...perLayer(3, ["attention.query"]), "norm"]);
  expect(await of({ weights: ["*"] })).toHaveLength(29);
  expect(await of({ weights: ["*"], except: ["layers.*", "norm"] })).toEqual(["embedding"]);
  expect((await trainedBy("llama-3", normTuning(), surgicalTuning({ weights: ["embedding"] }))).names).toHaveLength(8);
});

test("selective tuning refuses what names nothing", async () => {
  expect(() => surgicalTuning({})).toThrow(refused(/neither layers nor weights/));
  expect(() => surgicalTuning({ layers: "midle" as "middle" })).toThrow(refused(/did you mean "middle"/));
  expect(() => surgicalTuning({ weight: [] } as object)).toThrow(refused(/did you mean weights/));
  await expect(trainedBy("llama-3", surgicalTuning({ weights: [] }))).rejects.toThrow(refused(/weights names no weights/));
  await expect(trainedBy("llama-3", surgicalTuning({ layers: [7] }))).rejects.toThrow(refused(/there is no layer 7/));
  await expect(trainedBy("llama-3", surgicalTuning({ weights: ["norm"], except: ["norm"] }))).rejects.toThrow(
    refused(/leave nothing to train/),
  );
});

test("patterns fit whole names or their ends, and stars fit any letters", async () => {
  const names = ["embedding", "norm", "layers.0.mlp.up", "layers.10.mlp.up", "layers.0.mlp.up.bias"];
  const choose = (pattern: string): string[] => chooseNames(names, [pattern], "test", "weights");
  expect(choose("mlp.up")).toEqual(["layers.0.mlp.up", "layers.10.mlp.up"]);
  expect(choose("layers.0.*")).toEqual(["layers.0.mlp.up", "layers.0.mlp.up.bias"]);
  expect(choose("layers.*.up")).toEqual(["layers.0.mlp.up", "layers.10.mlp.up"]);
  expect(choose("*.bias")).toEqual(["layers.0.mlp.up.bias"]);
  expect(choose("**")).toEqual(names);
  expect(() => choose("lp.up")).toThrow(refused(/fits no weight of the model; did you mean "mlp.up"/));
  expect(() => choose("*".repeat(1000) + "x")).toThrow(refused(/fits no weight/));
});

test("tables of rotary frequencies are no parameters", async () => {
  const checkpoint = await openFixture({ name: "llama-3", kind: "gguf" });
  const { graphs, weights } = openModel(checkpoint);
  await checkpoint.close();
  expect([...weights.keys()].filter((name) => !parameterNames(graphs()["score"]!).includes(name))).toEqual(["rope.rope_freqs.weight"]);
});

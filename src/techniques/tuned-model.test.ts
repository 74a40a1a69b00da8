/** Techniques without a file of PEFT's: what they trained is served from `tuned.safetensors`. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { distance, logitsOf } from "../../testing/adapters.ts";
import { openFixture } from "../../testing/families.ts";
import { writeSafetensors } from "../formats/safetensors-write.ts";
import { openModel } from "../models/index.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { size } from "../tensor/shape.ts";
import type { Trainable } from "../training/trainable.ts";
import { tuningTechnique } from "./index.ts";
import { numbersOfWeight } from "./tuning/adapted-model.ts";
import { openAdaptedModel } from "./tuning/open-adapter.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "frugal-tuned-"))));
afterAll(() => rm(folder, { recursive: true }));

const ids = [7, 11, 23, 5];
const F32 = formatByName("F32");

/** Trained numbers of the technique in a folder, and what the tuned model answers. */
async function tuned(name: string, options: object, out: string, said: object = options): Promise<Float32Array> {
  const checkpoint = await openFixture({ name: "llama-3", kind: "huggingface" });
  const model = openModel(checkpoint);
  const begun: Trainable = { graph: model.graphs()["score"]!, weights: model.weights, trained: new Set(), virtualTokens: 0 };
  const context = { seed: 1, numbers: (of: string) => numbersOfWeight(model.weights, of) };
  const made = await tuningTechnique(name, options).apply(begun, context);
  const weights = new Map(made.weights);
  const tensors = [...made.trained].map((own, t) => {
    const { shape } = made.weights.get(own)!;
    const values = Float32Array.from({ length: size(shape) }, (_, i) => Math.sin(t * 31 + i * 1.3) / 5);
    weights.set(own, { shape, content: { values: async () => values } });
    return { name: own, shape, format: F32, bytes: new Uint8Array(values.buffer) };
  });
  await mkdir(out);
  await writeSafetensors(join(out, "tuned.safetensors"), tensors, new Map([["frugal.technique", JSON.stringify({ name, ...said })]]));
  const logits = await logitsOf({ ...model, weights, graphs: () => ({ score: made.graph }) }, ids);
  await checkpoint.close();
  return logits;
}

test.each([
  ["adapters", {}],
  ["parallel-adapters", { size: 4 }],
  ["loftq", { format: "Q8_0", rank: 2 }],
])("%s", async (name, options) => {
  const out = join(folder, name);
  const wanted = await tuned(name, options, out);
  const checkpoint = await openFixture({ name: "llama-3", kind: "huggingface" });
  expect(distance(await logitsOf(await openAdaptedModel(out, checkpoint), ids), wanted)).toBeLessThan(1e-4);
  expect(distance(await logitsOf(openModel(checkpoint), ids), wanted)).toBeGreaterThan(1e-2);
  await checkpoint.close();
});

test.each<[string, object, object, string, RegExp]>([
  ["of other sizes", { size: 4 }, { size: 5 }, "llama-3", /is \[4, 32\], but with this model it is \[5, 32\].*another base/],
  ["of another base", {}, {}, "gpt-2", /it was made for another base/],
  ["of an unknown technique", {}, { name: "adaptors" }, "llama-3", /did you mean "adapters"/],
])("what was trained %s is refused", async (what, options, said, base, message) => {
  const out = join(folder, what);
  await tuned("adapters", options, out, said);
  const checkpoint = await openFixture({ name: base, kind: "huggingface" });
  await expect(openAdaptedModel(out, checkpoint)).rejects.toThrow(message);
  await checkpoint.close();
});

test("a file that says nothing of a technique is refused", async () => {
  const out = join(folder, "silent");
  await mkdir(out);
  await writeSafetensors(join(out, "tuned.safetensors"), []);
  const checkpoint = await openFixture({ name: "llama-3", kind: "huggingface" });
  await expect(openAdaptedModel(out, checkpoint)).rejects.toThrow(/does not say which technique/);
  await checkpoint.close();
});

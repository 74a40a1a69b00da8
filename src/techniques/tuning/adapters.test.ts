/** Adapters as PEFT writes them, beside the models they were made for: what testing/oracles/adapters.py got from PEFT. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openFixture } from "../../../testing/families.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import { openFile } from "../../formats/files.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import { inOrder, sourceName } from "../../graph/value.ts";
import type { Model } from "../../models/family.ts";
import { positionsIn } from "../../serving/embed.ts";
import { decodeTensor } from "../../tensor/stored.ts";
import { openAdaptedModel } from "./open-adapter.ts";

const folder = fileURLToPath(new URL("../../../testing/fixtures/adapters/", import.meta.url));
const bases: Readonly<Record<string, string>> = {
  "lora-bias": "qwen-2",
  "lora-biases": "qwen-2",
  "lora-transposed": "gpt-2",
  "dora-transposed": "gpt-2",
  "lora-by-head": "gpt-neox",
  "lora-fused": "phi-3",
  "lora-classifier": "roberta",
  "ia3-bias": "qwen-2",
  "ia3-transposed": "gpt-2",
  "norms-plus-one": "gemma-3",
  "norms-bias": "gpt-neox",
};
const virtual = ["prompt", "prefix", "p-tuning"];
const names = readdirSync(folder);
const linearKinds = names.filter((name) => !virtual.includes(name));

async function casesOf(name: string): Promise<ReadonlyMap<string, Float32Array>> {
  const file = await readSafetensors(await openFile(`${folder}${name}/cases.safetensors`));
  const cases = new Map<string, Float32Array>();
  for (const [key, tensor] of file.tensors) cases.set(key, await decodeTensor(tensor));
  await file.close();
  return cases;
}

async function logitsOf(model: Model, ids: Float32Array): Promise<Float32Array> {
  const program = model.kind === "text" ? "score" : "embed";
  const graph = model.graphs()[program]!;
  const loaded = await createReferenceBackend().load({ [program]: graph }, model.weights, { caps: { T: 16, S: 1, C: 1, R: 16 } });
  const tokens = Int32Array.from(ids);
  const inputs: Readonly<Record<string, Int32Array>> = {
    tokens,
    positions: positionsIn(model, tokens),
    segments: new Int32Array(tokens.length),
    rowOffsets: Int32Array.of(0, tokens.length),
    outputRows: tokens.map((_, i) => i),
  };
  const wanted = new Set(inOrder(graph.outputs.values()).flatMap((value) => (value.op === "input" ? [sourceName(value)] : [])));
  const outputs = await loaded.run({
    program,
    symbols: { T: tokens.length, S: 1, C: 0, R: program === "score" ? tokens.length : 0 },
    inputs: Object.fromEntries(Object.entries(inputs).filter(([key]) => wanted.has(key))),
  });
  await loaded.dispose();
  return outputs["logits"] as Float32Array;
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
};

describe("PEFT's adapters answer as in PEFT", () => {
  const ways = linearKinds.flatMap((name) => {
    const base = bases[name] ?? "llama-3";
    const gguf = base !== "roberta";
    return [{ name, base, kind: "huggingface" as const }, ...(gguf ? [{ name, base, kind: "gguf" as const }] : [])];
  });
  test.each(ways)("$name on $base from $kind", async ({ name, base, kind }) => {
    const checkpoint = await openFixture({ name: base, kind });
    const cases = await casesOf(name);
    const model = await openAdaptedModel(folder + name, checkpoint);
    expect(distance(await logitsOf(model, cases.get("input_ids")!), cases.get("logits")!)).toBeLessThan(5e-4);
    await checkpoint.close();
  });
});

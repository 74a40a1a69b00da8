/** LoRA in GGUF: what we write comes back, llama.cpp answers the same with it, and hostile files are refused. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adapterFixtures, distance, logitsOf } from "../../../testing/adapters.ts";
import { openFixture } from "../../../testing/families.ts";
import { openGguf } from "../../formats/gguf/split.ts";
import { writeGguf } from "../../formats/gguf/write.ts";
import { openModel } from "../../models/index.ts";
import { load } from "../../serving/model.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import type { MetadataValue } from "../../tensor/strings.ts";
import { writeGgufAdapter } from "./gguf-adapter.ts";
import { openAdaptedModel, openAdapter } from "./open-adapter.ts";

const families = fileURLToPath(new URL("../../../testing/fixtures/families/", import.meta.url));
const fixture = (name: string): (typeof adapterFixtures)[number] => adapterFixtures.find((each) => each.name === name)!;
/** Products of low rank, whatever they are called. */
const plain = ["lora", "lora-layers", "rslora", "adalora", "vera", "lora-transposed", "lora-by-head", "lora-fused"];

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "frugal-gguf-adapter-"))));
afterAll(() => rm(folder, { recursive: true }));

async function adapterFile(name: string): Promise<string> {
  const { base, path } = fixture(name);
  const checkpoint = await openFixture({ name: base, kind: "gguf" });
  const model = openModel(checkpoint);
  const out = join(folder, `${name}.gguf`);
  try {
    await writeGgufAdapter(out, checkpoint, model, await openAdapter(path, checkpoint, model));
  } finally {
    await checkpoint.close();
  }
  return out;
}

test.each(plain)("%s answers the same from PEFT's file and from ours", async (name) => {
  const { base, path } = fixture(name);
  const out = await adapterFile(name);
  const checkpoint = await openFixture({ name: base, kind: "gguf" });
  const ids = [7, 11, 23, 5];
  const wanted = await logitsOf(await openAdaptedModel(path, checkpoint), ids);
  expect(distance(await logitsOf(await openAdaptedModel(out, checkpoint), ids), wanted)).toBeLessThan(1e-4);
  expect(distance(await logitsOf(openModel(checkpoint), ids), wanted)).toBeGreaterThan(1e-2);
  await checkpoint.close();
});

test("metadata and names are those that llama.cpp asks for", async () => {
  const file = await openGguf(await adapterFile("lora-fused"));
  const said = Object.fromEntries([...file.metadata].filter(([key]) => key !== "frugal.base"));
  expect(said).toEqual({ "general.architecture": "phi3", "general.type": "adapter", "adapter.type": "lora", "adapter.lora.alpha": 5 });
  expect(file.types.get("adapter.lora.alpha")).toBe("f32");
  expect(file.tensors.get("blk.0.attn_qkv.weight.lora_a")!.shape).toEqual([2, 32]);
  expect([...file.tensors.keys()].every((name) => /\.weight\.lora_[ab]$/.test(name))).toBe(true);
  await file.close();
});

test.each(["dora", "ia3", "norms", "lora-bias"])("%s is more than a product, and is refused", async (name) => {
  await expect(adapterFile(name)).rejects.toMatchObject({
    code: "FRUGAL_UNSUPPORTED",
    message: expect.stringMatching(/merge it/) as string,
  });
});

test("a base that is no GGUF file is refused both ways", async () => {
  const checkpoint = await openFixture({ name: "llama-3", kind: "huggingface" });
  const model = openModel(checkpoint);
  const adapter = await openAdapter(fixture("lora").path, checkpoint, model);
  await expect(writeGgufAdapter(join(folder, "x.gguf"), checkpoint, model, adapter)).rejects.toThrow(/give the base as GGUF/);
  await expect(openAdapter(await adapterFile("lora"), checkpoint, model)).rejects.toThrow(/take the base as GGUF/);
  await checkpoint.close();
});

describe("a file that", () => {
  const good = new Map<string, MetadataValue>([
    ["general.architecture", "llama"],
    ["general.type", "adapter"],
    ["adapter.type", "lora"],
    ["adapter.lora.alpha", 2.5],
  ]);
  const tensor = (name: string, ...shape: number[]) => ({
    name,
    shape,
    format: formatByName("F32"),
    bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
  });
  const pair = (name: string, outputs: number, inputs: number, rank = 2) => [
    tensor(`${name}.lora_a`, rank, inputs),
    tensor(`${name}.lora_b`, outputs, rank),
  ];
  const query = "blk.0.attn_q.weight";
  test.each<[string, Record<string, MetadataValue>, ReturnType<typeof tensor>[], string, RegExp]>([
    ["is a model", { "general.type": "model" }, pair(query, 64, 32), "FRUGAL_UNSUPPORTED", /is no LoRA adapter/],
    ["is another adapter", { "adapter.type": "control" }, pair(query, 64, 32), "FRUGAL_UNSUPPORTED", /is no LoRA adapter/],
    [
      "is of another architecture",
      { "general.architecture": "gemma3" },
      pair(query, 64, 32),
      "FRUGAL_BAD_ARGUMENT",
      /gemma3.*but this one is "llama"/,
    ],
    ["has an alpha of words", { "adapter.lora.alpha": "8" }, pair(query, 64, 32), "FRUGAL_BAD_FILE", /alpha is "8"/],
    ["names an unknown tensor", {}, pair("blk.9.attn_q.weight", 64, 32), "FRUGAL_BAD_ARGUMENT", /blk\.9\.attn_q.*nearest/],
    ["has other shapes", {}, pair(query, 32, 32), "FRUGAL_BAD_ARGUMENT", /\[32, 2\], but this base needs \[64, 2\]/],
    ["has no rank", {}, pair(query, 64, 32, 0), "FRUGAL_BAD_ARGUMENT", /but this base needs/],
    ["has half a pair", {}, pair(query, 64, 32).slice(1), "FRUGAL_BAD_FILE", /no counterpart/],
    ["has another kind of tensor", {}, [tensor("blk.0.attn_norm.weight", 32)], "FRUGAL_UNSUPPORTED", /neither a lora_a nor/],
    ["is empty", {}, [], "FRUGAL_BAD_FILE", /holds no adapter/],
  ])("%s is refused", async (name, more, tensors, code, message) => {
    const path = join(folder, `${name}.gguf`);
    await writeGguf(path, { metadata: new Map([...good, ...Object.entries(more)]), tensors });
    const checkpoint = await openFixture({ name: "llama-3", kind: "gguf" });
    await expect(openAdapter(path, checkpoint, openModel(checkpoint))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
    await checkpoint.close();
  });

  test("says alpha 0 is scaled by 1", async () => {
    const path = join(folder, "alpha.gguf");
    await writeGguf(path, { metadata: new Map([...good, ["adapter.lora.alpha", 0]]), tensors: pair(query, 64, 32) });
    const checkpoint = await openFixture({ name: "llama-3", kind: "gguf" });
    const adapter = await openAdapter(path, checkpoint, openModel(checkpoint));
    expect([...adapter.scales]).toEqual([["layers.0.attention.query", 1]]);
    await checkpoint.close();
  });
});

/** Named in the variable LLAMA_COMPLETION; skipped without it. */
const completion = process.env["LLAMA_COMPLETION"] ?? "";
const sameText = ["lora", "rslora", "adalora", "lora-transposed", "lora-by-head"];
test.skipIf(!existsSync(completion)).each(sameText)("llama.cpp (LLAMA_COMPLETION) writes our text with %s", async (name) => {
  const { base } = fixture(name);
  const model = join(families, base, `${base}.gguf`);
  const adapter = await adapterFile(name);
  const greedy = ["-n", "10", "--temp", "0", "-no-cnv", "-t", "1", "--no-warmup", "--ignore-eos"];
  const args = ["-m", model, "--lora", adapter, "-p", "the day was", ...greedy];
  // It may end before its writing thread does, so what is cut off is asked for again.
  let stdout = "";
  for (let tries = 0; tries < 20 && !stdout.endsWith("\n\n"); tries++)
    stdout = spawnSync(completion, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).stdout;
  await using ours = await load(model, { backend: "reference" }, { open: (checkpoint) => openAdaptedModel(adapter, checkpoint) });
  const { text } = await ours.generate("the day was", { maxTokens: 10, temperature: 0 });
  expect(stdout.trimEnd()).toBe(`the day was${text.trimEnd()}`);
});

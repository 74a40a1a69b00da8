/** What we write is what PEFT writes: the same tensors under the same names; where Python with PEFT is at hand, PEFT answers the same with it. */
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { adapterFixtures, distance, logitsOf, tensorsOf } from "../../../testing/adapters.ts";
import { openFixture } from "../../../testing/families.ts";
import { openModel } from "../../models/index.ts";
import { type Adapter, type Numbers } from "./adapter.ts";
import { adaptedModel } from "./adapted-model.ts";
import { openAdaptedModel, openAdapter } from "./open-adapter.ts";
import { type AdapterToWrite, writePeftAdapter } from "./peft-write.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "frugal-peft-write-"))));
afterAll(() => rm(folder, { recursive: true }));

/** Reads PEFT's adapter and writes it again. */
async function rewritten(fixture: (typeof adapterFixtures)[number], kind: "huggingface" | "gguf", out: string): Promise<void> {
  const checkpoint = await openFixture({ name: fixture.base, kind });
  const model = openModel(checkpoint);
  await writePeftAdapter(out, model, await openAdapter(fixture.path, checkpoint, model));
  await checkpoint.close();
}

describe("PEFT's adapters are written as they were read", () => {
  const ways = adapterFixtures.flatMap((fixture) => {
    // Rows that GGUF has in another order cannot share VeRA's matrices, and its files have no classifier.
    const gguf = !["vera", "lora-classifier"].includes(fixture.name);
    return [{ ...fixture, kind: "huggingface" as const }, ...(gguf ? [{ ...fixture, kind: "gguf" as const }] : [])];
  });
  test.each(ways)("$name on $base from $kind", async (fixture) => {
    const out = join(folder, fixture.kind, fixture.name);
    await rewritten(fixture, fixture.kind, out);
    const [wanted, got] = [
      await tensorsOf(`${fixture.path}/adapter_model.safetensors`),
      await tensorsOf(`${out}/adapter_model.safetensors`),
    ];
    expect([...got.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [name, { shape, values }] of wanted) {
      expect(got.get(name)!.shape).toEqual(shape);
      expect(distance(got.get(name)!.values, values)).toBeLessThan(1e-6);
    }
    const json = async (path: string): Promise<Record<string, unknown>> =>
      JSON.parse(await readFile(join(path, "adapter_config.json"), "utf8")) as Record<string, unknown>;
    const [theirs, ours] = [await json(fixture.path), await json(out)];
    const keys = [
      "peft_type",
      "task_type",
      "lora_alpha",
      "use_dora",
      "use_rslora",
      "bias",
      "num_virtual_tokens",
      "token_dim",
      "modules_to_save",
    ];
    for (const key of keys.filter((each) => each in ours)) expect([key, ours[key]]).toEqual([key, theirs[key]]);
  });
});

test("PEFT answers with what we wrote as with its own", async (context) => {
  const python = process.env["PYTHON"] ?? "python3";
  if (spawnSync(python, ["-c", "import peft"]).status !== 0) context.skip("there is no Python with PEFT (name one in the variable PYTHON)");
  const out = join(folder, "verified");
  for (const fixture of adapterFixtures) await rewritten(fixture, "huggingface", join(out, fixture.name));
  const script = fileURLToPath(new URL("../../../testing/oracles/adapters_verify.py", import.meta.url));
  const { stdout } = spawnSync(python, [script, out], { encoding: "utf8" });
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { worst: number; complaints: string[] });
  expect(lines).toHaveLength(adapterFixtures.length);
  for (const { worst, complaints } of lines) expect([worst < 1e-5, complaints]).toEqual([true, []]);
}, 300_000);

/** Numbers that differ from tensor to tensor. */
function numbers(seed: number, ...shape: number[]): Numbers {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed * 37 + i * 1.7) / 4);
  return { shape, values };
}

/** LoRA of these linears, each with an A of its own. */
async function trained(base: string, ends: readonly string[], more: Partial<AdapterToWrite> = {}): Promise<AdapterToWrite> {
  const checkpoint = await openFixture({ name: base, kind: "huggingface" });
  const weights = new Map<string, Numbers>();
  [...openModel(checkpoint).weights].forEach(([name, { shape }], i) => {
    if (!ends.some((end) => name.endsWith(end))) return;
    weights.set(`${name}.loraA`, numbers(i, 2, shape[1]!));
    weights.set(`${name}.loraB`, numbers(i + 1000, shape[0]!, 2));
  });
  await checkpoint.close();
  return { config: { type: "LORA", rank: 2, alpha: 3 }, weights, ...more };
}

const whole = (adapter: AdapterToWrite): Adapter => {
  const scales = new Map([...adapter.weights.keys()].map((name) => [name.replace(/\.lora.$/, ""), 1.5]));
  return { scales, replaced: new Map(), further: new Map(), ...adapter };
};

test.each([
  ["gpt-2", ["attention.query", "attention.value", "mlp.down"]],
  ["gpt-neox", ["attention.key", "mlp.up"]],
  ["phi-3", ["attention.query", "attention.key", "mlp.gate", "mlp.up"]],
])("linears that %s keeps in one module are tuned one by one, and written as one", async (base, ends) => {
  const adapter = await trained(base, ends);
  const checkpoint = await openFixture({ name: base, kind: "huggingface" });
  const model = openModel(checkpoint);
  const out = join(folder, `one-by-one-${base}`);
  await writePeftAdapter(out, model, adapter);
  const ids = [7, 11, 23, 5];
  const wanted = await logitsOf(await adaptedModel(model, whole(adapter)), ids);
  expect(distance(await logitsOf(await openAdaptedModel(out, checkpoint), ids), wanted)).toBeLessThan(1e-4);
  expect(distance(await logitsOf(model, ids), wanted)).toBeGreaterThan(1e-2);
  await checkpoint.close();
});

test("ranks and scales that differ are written as patterns", async () => {
  const adapter = await trained("llama-3", ["attention.query", "attention.value"]);
  const weights = new Map(adapter.weights);
  weights.set("layers.1.attention.query.loraA", numbers(1, 4, 32));
  weights.set("layers.1.attention.query.loraB", numbers(2, 64, 4));
  const scales = new Map([...whole(adapter).scales, ["layers.2.attention.value", 7]]);
  const checkpoint = await openFixture({ name: "llama-3", kind: "huggingface" });
  const model = openModel(checkpoint);
  const out = join(folder, "patterns");
  await writePeftAdapter(out, model, { ...adapter, weights, scales });
  const json = JSON.parse(await readFile(join(out, "adapter_config.json"), "utf8")) as Record<string, unknown>;
  expect(json).toMatchObject({
    r: 2,
    lora_alpha: 3,
    target_modules: ["q_proj", "v_proj"],
    rank_pattern: { "model.layers.1.self_attn.q_proj": 4 },
    alpha_pattern: { "model.layers.1.self_attn.q_proj": 6, "model.layers.2.self_attn.v_proj": 14 },
  });
  const back = await openAdapter(out, checkpoint, model);
  expect(back.scales.get("layers.2.attention.value")).toBe(7);
  expect(back.scales.get("layers.1.attention.query")).toBe(1.5);
  await checkpoint.close();
});

test("targets name what is tuned and nothing else", async () => {
  const only = await trained("gpt-2", ["0.attention.output", "1.attention.output", "1.mlp.up"]);
  const checkpoint = await openFixture({ name: "gpt-2", kind: "huggingface" });
  const out = join(folder, "targets");
  await writePeftAdapter(out, openModel(checkpoint), only);
  const json = JSON.parse(await readFile(join(out, "adapter_config.json"), "utf8")) as Record<string, unknown>;
  expect(json["target_modules"]).toEqual(["attn.c_proj", "1.mlp.c_fc"]);
  expect(json["fan_in_fan_out"]).toBe(true);
  await checkpoint.close();
});

test.each<[string, (adapter: AdapterToWrite) => AdapterToWrite, RegExp]>([
  ["gpt-2", (a) => ({ ...a, config: { type: "LORA", rank: 2, alpha: 3, dora: true } }), /in one module.*magnitude needs all/],
  ["gpt-2", (a) => ({ ...a, config: { type: "ADALORA", alpha: 1, initialRank: 2, targetRank: 2 } }), /cannot say AdaLoRA/],
  ["llama-3", (a) => ({ ...a, weights: new Map([...a.weights].slice(1)) }), /has no "layers\.0\.attention\.query\.loraA"/],
  [
    "llama-3",
    (a) => ({ ...a, weights: new Map([["layers.9.mlp.up.loraA", numbers(1, 2, 2)]]) }),
    /PEFT has no module for the weight "layers\.9/,
  ],
  [
    "llama-3",
    (a) => ({ ...a, replaced: new Map([["layers.0.attention.query.bias", numbers(1, 64)]]) }),
    /no module for the weight "layers\.0\.attention\.query\.bias"/,
  ],
])("%s: what PEFT has no words for is refused", async (base, change, message) => {
  const adapter = change(await trained(base, ["attention.query"]));
  const checkpoint = await openFixture({ name: base, kind: "huggingface" });
  await expect(writePeftAdapter(join(folder, "refused"), openModel(checkpoint), adapter)).rejects.toThrow(message);
  await checkpoint.close();
});

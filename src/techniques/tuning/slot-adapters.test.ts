/** Adapters in slots answer what PEFT answered with them; kinds that do not fit are refused with what to do. */
import { describe, expect, test } from "vitest";
import { adapterCases, type AdapterFixture, adapterFixtures, distance, logitsOf } from "../../../testing/adapters.ts";
import { openFixture } from "../../../testing/families.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import type { Checkpoint, Model } from "../../models/family.ts";
import type { AdapterRoom, AdapterSlotOptions } from "../../serving/load-parts.ts";
import { openModel } from "../../models/index.ts";
import { adapterRoom } from "./slot-adapters.ts";
import { openAdaptedModel } from "./open-adapter.ts";

const fixtureOf = (name: string): AdapterFixture => adapterFixtures.find((fixture) => fixture.name === name)!;

async function opened<T>(
  { base }: AdapterFixture,
  options: AdapterSlotOptions,
  use: (slots: AdapterRoom, model: Model, checkpoint: Checkpoint) => Promise<T>,
): Promise<T> {
  const checkpoint = await openFixture({ name: base, kind: "huggingface" });
  try {
    const model = openModel(checkpoint);
    return await use(adapterRoom(checkpoint, model, options), model, checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/** Of two texts, one with the adapter and one without. */
async function scored(slots: AdapterRoom, model: Model, path: string, ids: readonly number[]): Promise<readonly Float32Array[]> {
  const graph = slots.graph(model.graphs()["score"]!);
  const rows = 2 * ids.length;
  const loaded = await createReferenceBackend().load({ score: graph }, new Map([...model.weights, ...slots.weights]), {
    caps: { T: rows, S: 2, C: 1, R: rows },
  });
  await loaded.writeSlot(1, (await slots.read(path)).numbers);
  const found = await loaded.run({
    program: "score",
    symbols: { T: rows, S: 2, C: 0, R: rows },
    inputs: {
      tokens: Int32Array.from([...ids, ...ids]),
      positions: Int32Array.from({ length: rows }, (_, i) => i % ids.length),
      rowOffsets: Int32Array.of(0, ids.length, rows),
      outputRows: Int32Array.from({ length: rows }, (_, i) => i),
      adapters: Int32Array.from({ length: rows }, (_, i) => (i < ids.length ? 1 : -1)),
    },
  });
  await loaded.dispose();
  const logits = found["logits"] as Float32Array;
  return [logits.subarray(0, logits.length / 2), logits.subarray(logits.length / 2)];
}

test.each(["lora", "rslora", "lora-transposed", "lora-by-head", "lora-fused", "lora-layers"])("%s", async (name) => {
  const fixture = fixtureOf(name);
  await opened(fixture, { count: 2, rank: 32 }, async (slots, model, checkpoint) => {
    const cases = await adapterCases(fixture);
    const ids = Array.from(cases.get("input_ids")!);
    const [adapted, plain] = await scored(slots, model, fixture.path, ids);
    expect(distance(adapted!, cases.get("logits")!)).toBeLessThan(5e-4);
    expect(distance(plain!, await logitsOf(model, ids))).toBe(0);
    // The sums of a model that carries this adapter alone, in their order.
    expect(distance(adapted!, await logitsOf(await openAdaptedModel(fixture.path, checkpoint), ids))).toBe(0);
  });
});

describe("what does not fit is refused", () => {
  test.each<readonly [string, Partial<AdapterSlotOptions>, string, RegExp]>([
    ["dora", {}, "FRUGAL_UNSUPPORTED", /is of kind DoRA, but slots hold LoRA alone.*load the model with it \(adapter\), or merge it/],
    ["ia3", {}, "FRUGAL_UNSUPPORTED", /is of kind IA3/],
    ["vera", {}, "FRUGAL_UNSUPPORTED", /is of kind VERA/],
    ["adalora", {}, "FRUGAL_UNSUPPORTED", /is of kind ADALORA/],
    ["norms", {}, "FRUGAL_UNSUPPORTED", /is of kind LN_TUNING/],
    ["prompt", {}, "FRUGAL_UNSUPPORTED", /is of kind PROMPT_TUNING/],
    ["lora-biases", {}, "FRUGAL_UNSUPPORTED", /holds all of .*bias/],
    ["lora", { rank: 1 }, "FRUGAL_BAD_ARGUMENT", /has rank \d+ at layers\.\d.*slots hold at most 1; load with adapterSlots\.rank \d/],
    [
      "lora",
      { targets: "mlp.down" },
      "FRUGAL_BAD_ARGUMENT",
      /changes layers\.0\.\S+, for which there are no slots; name it in adapterSlots\.targets/,
    ],
    ["lora-transposed", {}, "FRUGAL_BAD_ARGUMENT", /another base/],
  ])("%s with %j", async (name, options, code, message) => {
    const base = name === "lora-transposed" ? { ...fixtureOf("lora") } : fixtureOf(name);
    const reading = opened(base, { count: 2, rank: 32, ...options }, (slots) => slots.read(fixtureOf(name).path));
    await expect(reading).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  test.each<readonly [object, RegExp]>([
    [{ count: 0, rank: 4 }, /count is 0/],
    [{ count: 1 }, /rank is NaN/],
    [{ count: 1, rank: 4, ranks: 3 }, /did you mean rank/],
    [{ count: 1, rank: 4, targets: "q_prj" }, /did you mean/],
  ])("options %j", async (options, message) => {
    await expect(opened(fixtureOf("lora"), options as AdapterSlotOptions, async () => undefined)).rejects.toThrow(message);
  });
});

test("an adapter's hash is that of what it does", async () => {
  const lora = fixtureOf("lora");
  const hashes = (slots: AdapterRoom): Promise<string[]> =>
    Promise.all(["lora", "lora", "rslora"].map(async (name) => (await slots.read(fixtureOf(name).path)).contentHash));
  const [a, again, other] = await opened(lora, { count: 1, rank: 32 }, hashes);
  expect(a).toMatch(/^[0-9a-f]{64}$/);
  expect(again).toBe(a);
  expect(other).not.toBe(a);
});

test("the bytes of slots are those of their weights", async () => {
  await opened(fixtureOf("lora"), { count: 3, rank: 5 }, async (slots) => {
    const all = await Promise.all(
      [...slots.weights.values()].map(async ({ content }) => ("values" in content ? (await content.values()).byteLength : 0)),
    );
    expect(slots.bytes).toBe(all.reduce((sum, bytes) => sum + bytes, 0));
  });
});

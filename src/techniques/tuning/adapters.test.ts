/** Adapters as PEFT writes them, beside the models they were made for: what testing/oracles/adapters.py got from PEFT. */
import { describe, expect, test } from "vitest";
import { adapterCases, adapterFixtures, distance, logitsOf } from "../../../testing/adapters.ts";
import { openFixture } from "../../../testing/families.ts";
import { openAdaptedModel } from "./open-adapter.ts";

const ways = adapterFixtures.flatMap((fixture) => {
  // No GGUF holds a classifier that the base lacks.
  const kinds = fixture.name === "lora-classifier" ? (["huggingface"] as const) : (["huggingface", "gguf"] as const);
  return fixture.isVirtual ? [] : kinds.map((kind) => ({ ...fixture, kind }));
});

describe("PEFT's adapters answer as in PEFT", () => {
  test.each(ways)("$name on $base from $kind", async (fixture) => {
    const checkpoint = await openFixture({ name: fixture.base, kind: fixture.kind });
    const cases = await adapterCases(fixture);
    const model = await openAdaptedModel(fixture.path, checkpoint);
    expect(distance(await logitsOf(model, cases.get("input_ids")!), cases.get("logits")!)).toBeLessThan(5e-4);
    await checkpoint.close();
  });
});

/** A step's loss and gradients do not depend on how its examples are packed. */
import { describe, expect, it } from "vitest";
import { openFixture } from "../../../testing/families.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import { openModel } from "../../models/index.ts";
import { trainingPrograms } from "../programs.ts";
import { gradientStepper } from "../stepper.ts";
import { sgd } from "../update-rules/sgd.ts";
import { createBatches } from "./batches.ts";
import type { Example } from "./example.ts";

const examples = [9, 4, 7, 2, 6].map((length, number): Example => ({
  name: `row ${number}`,
  ids: Int32Array.from({ length }, (_, i) => 5 + ((17 * number + 29 * i) % 120)),
  scored: Uint8Array.from({ length }, (_, i) => (i > number % 3 ? 1 : 0)),
}));

/** The losses of two steps over all examples, and a weight after them. */
async function train(name: string, rows: number | undefined): Promise<number[]> {
  const checkpoint = await openFixture({ name, kind: "huggingface" });
  const model = openModel(checkpoint);
  const graph = model.graphs({ contextLength: 16 })["score"]!;
  const trained = new Set(["layers.0.attention.query", "layers.1.mlp.down"]);
  const stepper = gradientStepper(trainingPrograms({ graph, weights: model.weights, trained, virtualTokens: 0 }, sgd()), {
    splits: rows !== undefined,
    evaluates: false,
  });
  const batches = createBatches(examples, { order: "file", examplesPerStep: 5, ...(rows === undefined ? {} : { rows }) });
  const loaded = await createReferenceBackend().load(stepper.graphs, stepper.weights, { caps: batches.caps });
  const found: number[] = [];
  for (const count of [1, 2]) found.push((await stepper.step(loaded, (await batches.next())!, { rate: 0.5, count })).loss);
  found.push(...(await loaded.readWeight("layers.0.attention.query")).subarray(0, 40));
  await loaded.dispose();
  await checkpoint.close();
  return found;
}

describe.each(["llama-3", "gpt-2", "bloom", "gemma-3"])("%s", (name) => {
  it("learns the same from one batch, from a few, and from one for each example", async () => {
    const whole = await train(name, undefined);
    expect(whole[1]).not.toBe(whole[0]);
    for (const rows of [16, 9]) for (const [i, value] of (await train(name, rows)).entries()) expect(value).toBeCloseTo(whole[i]!, 5);
  });
});

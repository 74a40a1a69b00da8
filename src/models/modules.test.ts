import { expect, test } from "vitest";
import { fixtures, openFixture } from "../../testing/families.ts";
import { decodeWeights } from "../backends/weights.ts";
import { createBuilder } from "../ops/builder.ts";
import { decodeTensor } from "../tensor/stored.ts";
import { openModel } from "./index.ts";
import { moduleTensors } from "./modules.ts";

/** Converted under another family's names. */
const renamed = new Set(["distilbert"]);
const named = (name: string): boolean => fixtures.some((fixture) => fixture.name === name && fixture.kind === "gguf");

test.each(fixtures.filter(({ kind, name }) => (kind === "gguf" ? !renamed.has(name) : !named(name))))(
  "modules of $name from $kind hold our weights, row by row",
  async (fixture) => {
    const original = await openFixture({ name: fixture.name, kind: "huggingface" });
    const checkpoint = await openFixture(fixture);
    const model = openModel(checkpoint);
    let compared = 0;
    let worst = 0;
    for (const { name, parts, transposed, offset, outputs } of moduleTensors(model).values()) {
      const tensor = original.tensors.get(name) ?? original.tensors.get(name.slice(model.huggingface.basePrefix.length));
      // A table of positions may have rows before the first one, and a table of segments may be added to another.
      if (tensor === undefined || /position|token_type/.test(name)) continue;
      const theirs = await decodeTensor(tensor);
      if (!transposed) expect(outputs).toBe(tensor.shape[0]);
      for (const { weight, shape, rows } of parts) {
        const [width, total] = [shape[1] ?? 1, tensor.shape[1] ?? 1];
        const ours = (await decodeWeights([createBuilder().weight(weight, shape)], model.weights, {})).get(weight)!;
        for (let row = 0; row < rows.length; row++)
          for (let column = 0; column < width; column++) {
            const at = transposed ? column * total + rows[row]! : rows[row]! * width + column;
            worst = Math.max(worst, Math.abs(ours[row * width + column]! - theirs[at]! - offset));
          }
        compared++;
      }
    }
    expect(worst).toBeLessThan(1e-2);
    expect(compared).toBeGreaterThan(model.layers * 4);
    await Promise.all([original.close(), checkpoint.close()]);
  },
);

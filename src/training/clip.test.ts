/** Clipping against torch's clip_grad_norm_ (testing/oracles/optimizers.py). */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { createBuilder } from "../ops/builder.ts";
import { clipFactor, globalNorm } from "./clip.ts";

interface Truth {
  readonly gradients: readonly [number[], number[][]];
  readonly clipping: readonly { readonly limit: number; readonly norm: number; readonly clipped: readonly [number[], number[][]] }[];
}
const { gradients, clipping } = JSON.parse(
  readFileSync(new URL("../../testing/fixtures/training/scaling.json", import.meta.url), "utf8"),
) as Truth;
const caps = { T: 0, S: 0, C: 0, R: 0 };

it.each(clipping)("scales all gradients together to $limit", async ({ limit, norm, clipped }) => {
  const b = createBuilder();
  const values = [b.input("vector", { shape: [2], type: "f32" }), b.input("matrix", { shape: [2, 2], type: "f32" })];
  const total = globalNorm(b, values);
  const factor = clipFactor(b, total, limit);
  const results = values.map((value) => b.mul(value, b.reshape(factor, { shape: value.shape.map(() => 1) })));
  const outputs = new Map([["norm", total], ...results.map((value, i) => [String(i), value] as const)]);
  const model = await createReferenceBackend().load({ main: { outputs } }, new Map(), { caps });
  const inputs = { vector: Float32Array.from(gradients[0]), matrix: Float32Array.from(gradients[1].flat()) };
  const found = await model.run({ program: "main", symbols: caps, inputs });
  expect(found["norm"]![0]).toBeCloseTo(norm, 5);
  clipped.forEach((wanted, i) => wanted.flat().forEach((v, at) => expect(found[i]![at]).toBeCloseTo(v, 6)));
});

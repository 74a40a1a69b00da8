/** A tuned model answers with a cache what it answers without one. */
import { expect, test } from "vitest";
import { contextOf, given, neededBy, openTrainable, packTexts } from "../../../testing/tuning.ts";
import type { Weight } from "../../backends/backend.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import type { TuningTechnique } from "../../training/technique.ts";
import { adalora } from "./adalora.ts";
import { dora } from "./dora.ts";
import { normalNumbers } from "./initial-numbers.ts";
import { lora } from "./lora.ts";
import { pissa } from "./pissa.ts";
import { vera } from "./vera.ts";

test.each<readonly [string, TuningTechnique]>([
  ["lora", lora({ rank: 3 })],
  ["dora", dora({ rank: 3 })],
  ["vera", vera({ rank: 3 })],
  ["adalora", adalora({ rank: 3 })],
  ["pissa", pissa({ rank: 3 })],
])("%s, in whole and in two parts", async (_, technique) => {
  const { model, trainable, context, close } = await openTrainable("qwen-2");
  const tuned = await technique.apply(trainable, context);
  const generate = technique.serve!(model.graphs()["generate"]!);
  // As if trained: what was zero is not.
  const weights = new Map<string, Weight>(tuned.weights);
  const read = contextOf(tuned.graph, tuned.weights);
  for (const name of tuned.trained) {
    const { shape } = tuned.weights.get(name)!;
    const first = await read.numbers(name);
    const moved = normalNumbers(9, name, shape, 0.2);
    weights.set(
      name,
      given(
        shape,
        first.map((x, i) => x + moved[i]!),
      ),
    );
  }
  const { inputs, symbols } = packTexts([[5, 60, 33, 8, 90, 17]]);
  const caps = { ...symbols, C: 1 };
  const loaded = await createReferenceBackend().load({ score: tuned.graph, generate, plain: trainable.graph }, weights, {
    caps,
    cachePages: 1,
  });
  const run = async (program: "score" | "plain"): Promise<Float32Array> =>
    (await loaded.run({ program, symbols, inputs: neededBy(tuned.graph, inputs) }))["logits"] as Float32Array;
  const part = async (from: number, to: number): Promise<number[]> => {
    const { tokens, positions } = inputs as Record<string, Int32Array>;
    const rows = to - from;
    const found = await loaded.run({
      program: "generate",
      symbols: { T: rows, S: 1, C: 1, R: rows },
      inputs: {
        tokens: tokens!.slice(from, to),
        positions: positions!.slice(from, to),
        rowOffsets: Int32Array.of(0, rows),
        contextLengths: Int32Array.of(to),
        pageTable: Int32Array.of(0),
        outputRows: Int32Array.from({ length: rows }, (__, i) => i),
      },
    });
    return [...found["logits"]!];
  };
  const wanted = await run("score");
  const far = (found: readonly number[]): number => Math.max(...found.map((x, i) => Math.abs(x - wanted[i]!)));
  expect(far([...(await run("plain"))])).toBeGreaterThan(0.05);
  expect(far(await part(0, 6))).toBeLessThan(1e-5);
  expect(far([...(await part(0, 4)), ...(await part(4, 6))])).toBeLessThan(1e-5);
  await loaded.dispose();
  await close();
});

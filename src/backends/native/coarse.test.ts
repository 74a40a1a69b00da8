/** Coarse copies of weights by the native core, beside the reference; and what has none. */
import { describe, expect, test } from "vitest";
import { numbersOf } from "../../../testing/conformance/numbers.ts";
import { noSymbols } from "../../../testing/conformance/plain.ts";
import type { Graph } from "../../graph/value.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Backend, Outputs, Weights } from "../backend.ts";
import { createReferenceBackend } from "../reference/backend.ts";
import { createNativeBackend, instructionSets } from "./backend.ts";

const native = (instructionSet: string): Backend => {
  const made = createNativeBackend({ threads: 1, instructionSet });
  if ("reason" in made) throw new Error(made.reason);
  return made.backend;
};
const found = instructionSets();
const sets = "sets" in found ? found.sets : [];

const [rows, inputs, outputs] = [2, 96, 50];
const x = numbersOf("normal", rows * inputs, "f32", 1) as Float32Array;
const table = numbersOf("normal", outputs * inputs, "f32", 2) as Float32Array;
table.fill(0, 3 * inputs, 4 * inputs); // a row without a scale

function graphOf(width: number): Graph {
  const b = createBuilder();
  const given = b.input("x", { shape: [rows, width], type: "f32" });
  const weight = b.weight("table", [outputs, width]);
  return {
    outputs: new Map([
      ["coarse", b.coarseMatmul(given, weight)],
      ["ids", b.routeIds(b.matmul(given, weight), { count: 5 })],
      ["picked", b.pickedMatmul(given, weight, b.routeIds(b.matmul(given, weight), { count: 5 }))],
      ["all", b.matmul(given, weight)],
    ]),
  };
}
const weights: Weights = new Map([["table", { shape: [outputs, inputs], content: { values: async () => table } }]]);
async function run(backend: Backend): Promise<Outputs> {
  const model = await backend.load({ main: graphOf(inputs) }, weights, { caps: noSymbols });
  const results = await model.run({ program: "main", symbols: noSymbols, inputs: { x } });
  await model.dispose();
  return results;
}

describe.skipIf(sets.length === 0).each(sets)("%s", (set) => {
  test("a coarse product is the reference's, up to the rounding of x to 8 bits", async () => {
    const [a, b] = [await run(native(set)), await run(createReferenceBackend())];
    a["coarse"]!.forEach((value, i) => expect(Math.abs(value - b["coarse"]![i]!)).toBeLessThan(0.25));
    // And it says something of the exact one.
    const [coarse, all] = [[...a["coarse"]!], [...a["all"]!]];
    const dot = (p: readonly number[], q: readonly number[]): number => p.reduce((sum, v, i) => sum + v * q[i]!, 0);
    expect(dot(coarse, all) / Math.sqrt(dot(coarse, coarse) * dot(all, all))).toBeGreaterThan(0.9);
  });

  test("picked elements are the product's own", async () => {
    const { ids, picked, all } = await run(native(set));
    picked!.forEach((value, i) => expect(value).toBe(all![Math.floor(i / 5) * outputs + ids![i]!]));
  });

  test("rows that are no whole blocks have no copy", async () => {
    const odd: Weights = new Map([["table", { shape: [outputs, 33], content: { values: async () => table.slice(0, outputs * 33) } }]]);
    await expect(native(set).load({ main: graphOf(33) }, odd, { caps: noSymbols })).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED" });
  });
});

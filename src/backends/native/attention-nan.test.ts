/** NaN in a query, a key or a value shows in the result, wherever in a page it stands: it must not count as a token that nobody sees. */
import { describe, expect, test } from "vitest";
import { symbol } from "../../graph/dim.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { CacheFormat } from "../backend.ts";
import { createNativeBackend, instructionSets } from "./backend.ts";

const [T, S, C] = [symbol("T"), symbol("S"), symbol("C")];
const width = 32;
const found = instructionSets();

describe.skipIf("reason" in found).each("sets" in found ? found.sets : [])("attention on %s", (instructionSet) => {
  test.each<CacheFormat>(["F32", "F16", "Q8_0"])("over a cache in %s", async (cacheFormat) => {
    const b = createBuilder();
    const f32 = (name: string): ReturnType<typeof b.input> => b.input(name, { shape: [T, width], type: "f32" });
    const i32 = (name: string, shape: Parameters<typeof b.input>[1]["shape"]): ReturnType<typeof b.input> =>
      b.input(name, { shape, type: "i32" });
    const places = [
      i32("positions", [T]),
      i32("rowOffsets", [{ constant: 1, coefficients: { S: 1 } }]),
      i32("lengths", [S]),
      i32("table", [S, C]),
    ] as const;
    const heads = { heads: 2, keyValueHeads: 2, headSize: 16, scale: 0.25, layer: 0 };
    const y = b.cacheAttention(f32("q"), f32("k"), f32("v"), ...places, heads);
    const made = createNativeBackend({ threads: 2, instructionSet });
    if ("reason" in made) throw new Error(made.reason);
    const caps = { T: 70, S: 1, C: 3, R: 1 };
    const model = await made.backend.load({ main: { outputs: new Map([["y", y]]) } }, new Map(), { caps, cachePages: 3, cacheFormat });
    for (const [name, row, rows] of [
      ["q", 0, 4],
      ["q", 3, 4],
      ["q", 69, 70],
      ["k", 0, 70],
      ["k", 69, 70],
      ["v", 0, 1],
      ["v", 33, 70],
    ] as const) {
      const numbers = (seed: number): Float32Array => Float32Array.from({ length: rows * width }, (_, i) => Math.sin(seed * i));
      const inputs = {
        q: numbers(1),
        k: numbers(2),
        v: numbers(3),
        positions: Int32Array.from({ length: rows }, (_, i) => i),
        rowOffsets: Int32Array.of(0, rows),
        lengths: Int32Array.of(rows),
        table: Int32Array.of(0, 1, 2),
      };
      inputs[name][row * width + 5] = Number.NaN;
      const run = model.run({ program: "main", symbols: { ...caps, T: rows, R: 0 }, inputs });
      await expect(run, `${name} ${row} of ${rows}`).rejects.toMatchObject({ code: "FRUGAL_NUMERIC" });
    }
    await model.dispose();
  });
});

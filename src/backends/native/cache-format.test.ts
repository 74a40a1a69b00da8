/** Keys and values stored as F16, Q8_0 and Q4_0 against F32, over pages, sequences and cuts of a prompt. */
import { describe, expect, it } from "vitest";
import { symbol, type Symbols } from "../../graph/dim.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { CacheFormat, LoadedModel } from "../backend.ts";
import { createNativeBackend, instructionSets } from "./backend.ts";

const [T, S, C] = [symbol("T"), symbol("S"), symbol("C")];
const heads = { heads: 4, keyValueHeads: 2, headSize: 40, scale: 0.16, layer: 0 };
const [width, keyWidth, rows] = [160, 80, 75];
const caps: Symbols = { T: rows, S: 1, C: 4, R: 1 };

async function load(instructionSet: string, cacheFormat: CacheFormat): Promise<LoadedModel> {
  const b = createBuilder();
  const f32 = (name: string, channels: number): ReturnType<typeof b.input> => b.input(name, { shape: [T, channels], type: "f32" });
  const i32 = (name: string, shape: Parameters<typeof b.input>[1]["shape"]): ReturnType<typeof b.input> =>
    b.input(name, { shape, type: "i32" });
  const places = [
    i32("positions", [T]),
    i32("rowOffsets", [{ constant: 1, coefficients: { S: 1 } }]),
    i32("lengths", [S]),
    i32("table", [S, C]),
  ] as const;
  const y = b.cacheAttention(f32("q", width), f32("k", keyWidth), f32("v", keyWidth), ...places, heads);
  const made = createNativeBackend({ threads: 2, instructionSet });
  if ("reason" in made) throw new Error(made.reason);
  return made.backend.load({ main: { outputs: new Map([["y", y]]) } }, new Map(), { caps, cachePages: 4, cacheFormat });
}

const wave = (seed: number, channels: number): Float32Array =>
  Float32Array.from({ length: rows * channels }, (_, i) => Math.sin(seed + i * 0.7 + (i % 13) ** 2));
const [q, k, v] = [wave(1, width), wave(2, keyWidth), wave(3, keyWidth)];

async function answers(model: LoadedModel, step: number): Promise<number[]> {
  const all: number[] = [];
  for (let from = 0; from < rows; from += step) {
    const to = Math.min(from + step, rows);
    const cut = (x: Float32Array, channels: number): Float32Array => x.slice(from * channels, to * channels);
    const places = {
      positions: Int32Array.from({ length: to - from }, (_, i) => from + i),
      rowOffsets: Int32Array.of(0, to - from),
      lengths: Int32Array.of(to),
      table: Int32Array.of(2, 0, 3, 1),
    };
    const inputs = { q: cut(q, width), k: cut(k, keyWidth), v: cut(v, keyWidth), ...places };
    const { y } = await model.run({ program: "main", symbols: { ...caps, T: to - from }, inputs });
    all.push(...y!);
  }
  return all;
}

const found = instructionSets();
describe.skipIf("reason" in found).each("sets" in found ? found.sets : [])("keys and values on %s", (set) => {
  it.each([
    ["F16", 1e-3],
    ["Q8_0", 1.5e-2],
    ["Q4_0", 0.15],
  ] as const)("%s is near F32, smaller, and the same however a prompt is cut", async (format, tolerance) => {
    const [exact, small] = [await load(set, "F32"), await load(set, format)];
    const [wanted, whole] = [await answers(exact, rows), await answers(small, rows)];
    const worst = Math.max(...whole.map((x, i) => Math.abs(x - wanted[i]!)));
    expect(worst).toBeLessThan(tolerance);
    expect(worst).toBeGreaterThan(0);
    for (const step of [1, 7, 32]) expect(await answers(small, step)).toEqual(whole);
    expect(small.memory.cache).toBeLessThan(exact.memory.cache * { F16: 0.51, Q8_0: 0.32, Q4_0: 0.27 }[format]);
    await exact.dispose();
    await small.dispose();
  });
});

/** cacheAttention gives what attention over the whole sequence gives, however the rows are dealt out to calls and pages. */
import { describe, expect, it } from "vitest";
import type { CacheFormat, LoadedModel } from "../../src/backends/backend.ts";
import { plus, symbol, type Symbols } from "../../src/graph/dim.ts";
import type { Graph } from "../../src/graph/value.ts";
import type { AttentionAttributes } from "../../src/ops/attend.ts";
import { createBuilder } from "../../src/ops/builder.ts";
import { pageSize } from "../../src/ops/cache.ts";
import { expectLike, type Implementation } from "./implementation.ts";
import { numbersOf } from "./numbers.ts";
import { noSymbols, runPlain } from "./plain.ts";

const base: AttentionAttributes = { heads: 4, keyValueHeads: 2, headSize: 8, scale: 0.35 };
const variants: readonly (readonly [string, AttentionAttributes])[] = [
  ["plain", base],
  ["a window", { ...base, window: 7 }],
  ["a window of more than a page", { ...base, window: 40 }],
  ["a soft cap", { ...base, softcap: 1.2 }],
  ["slopes", { ...base, slopes: [0.5, 0.25, 0.125, 0.0625] }],
  ["one head of keys", { ...base, keyValueHeads: 1 }],
];
const caps: Symbols = { T: 80, S: 3, C: 3, R: 1 };

function cacheGraph(attributes: AttentionAttributes, layers: readonly number[]): Graph {
  const b = createBuilder();
  const [T, S, C] = [symbol("T"), symbol("S"), symbol("C")];
  const width = attributes.keyValueHeads * attributes.headSize;
  const q = b.input("q", { shape: [T, attributes.heads * attributes.headSize], type: "f32" });
  const [k, v] = [b.input("k", { shape: [T, width], type: "f32" }), b.input("v", { shape: [T, width], type: "f32" })];
  const ids = (name: string, shape: readonly (typeof T)[]) => b.input(name, { shape, type: "i32" });
  const places = [ids("positions", [T]), ids("rowOffsets", [plus(S, 1)]), ids("contextLengths", [S]), ids("pageTable", [S, C])] as const;
  // Each layer keeps other keys, so that layers which mix show.
  const results = layers.map(
    (layer) => [`y${layer}`, b.cacheAttention(q, b.scale(k, { by: 1 + layer }), v, ...places, { ...attributes, layer })] as const,
  );
  return { outputs: new Map(results) };
}

/** A sequence: its whole queries, keys and values, and the pages it was given. */
interface Sequence {
  readonly length: number;
  readonly pages: readonly number[];
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

function sequence(
  { heads, keyValueHeads, headSize }: AttentionAttributes,
  length: number,
  pages: readonly number[],
  seed: number,
): Sequence {
  const numbers = (width: number, part: number): Float32Array =>
    numbersOf("normal", length * width, "f32", 10 * seed + part) as Float32Array;
  return {
    length,
    pages,
    q: numbers(heads * headSize, 0),
    k: numbers(keyValueHeads * headSize, 1),
    v: numbers(keyValueHeads * headSize, 2),
  };
}

interface Chunk {
  readonly of: Sequence;
  readonly from: number;
  readonly to: number;
}

/** One call with some rows of some sequences; the results by output, one array for each chunk. */
async function run(model: LoadedModel, chunks: readonly Chunk[]): Promise<Record<string, Float32Array[]>> {
  const rows = chunks.map(({ from, to }) => to - from);
  const total = rows.reduce((sum, n) => sum + n, 0);
  const pick = (name: "q" | "k" | "v"): Float32Array =>
    Float32Array.from(
      chunks.flatMap(({ of, from, to }) => [
        ...of[name].subarray((from * of[name].length) / of.length, (to * of[name].length) / of.length),
      ]),
    );
  const pages = Math.max(...chunks.map(({ of }) => of.pages.length));
  const outputs = await model.run({
    program: "main",
    symbols: { T: total, S: chunks.length, C: pages, R: 0 },
    inputs: {
      q: pick("q"),
      k: pick("k"),
      v: pick("v"),
      positions: Int32Array.from(chunks.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i))),
      rowOffsets: Int32Array.from(rows.reduce<number[]>((offsets, n) => [...offsets, offsets[offsets.length - 1]! + n], [0])),
      contextLengths: Int32Array.from(chunks, ({ to }) => to),
      pageTable: Int32Array.from(chunks.flatMap(({ of }) => Array.from({ length: pages }, (_, i) => of.pages[i] ?? 0))),
    },
  });
  return Object.fromEntries(
    Object.entries(outputs).map(([name, data]) => {
      let at = 0;
      return [name, rows.map((n) => (data as Float32Array).slice((at * data.length) / total, ((at += n) * data.length) / total))];
    }),
  );
}

/** attention over the whole sequence, in double precision. */
function whole(attributes: AttentionAttributes, of: Sequence, layer = 0): { readonly data: ArrayLike<number> } {
  const b = createBuilder();
  const input = (name: string, data: Float32Array) => b.input(name, { shape: [of.length, data.length / of.length], type: "f32" });
  const rowOffsets = b.constant(Int32Array.of(0, of.length), [2]);
  const y = b.attention(input("q", of.q), b.scale(input("k", of.k), { by: 1 + layer }), input("v", of.v), rowOffsets, {
    ...attributes,
    causal: true,
  });
  return runPlain({ outputs: new Map([["y", y]]) }, { sources: { q: of.q, k: of.k, v: of.v }, symbols: noSymbols })["y"]!;
}

const joined = (parts: readonly Float32Array[]): Float32Array => Float32Array.from(parts.flatMap((part) => [...part]));

export function cacheCases({ create, skips, cacheTolerance = 1e-5 }: Implementation): void {
  const load = async (attributes: AttentionAttributes, layers = [0], cacheFormat: CacheFormat = "F32"): Promise<LoadedModel> =>
    (await create()).load({ main: cacheGraph(attributes, layers) }, new Map(), { caps, cachePages: 7, cacheFormat });

  describe.skipIf("cacheAttention" in skips)("the cache", () => {
    it.each(variants)("%s: token by token, in chunks and at once are the same, and equal attention", async (_, attributes) => {
      const model = await load(attributes);
      const of = sequence(attributes, 70, [5, 0, 3], 1);
      const atOnce = (await run(model, [{ of, from: 0, to: 70 }]))["y0"]![0]!;
      expectLike({ y: atOnce }, { y: whole(attributes, of) }, cacheTolerance);

      const moved = { ...of, pages: [1, 6, 2] };
      const parts: Float32Array[] = [];
      for (const [from, to] of [
        [0, 33],
        [33, 40],
        [40, 70],
      ] as const)
        parts.push((await run(model, [{ of: moved, from, to }]))["y0"]![0]!);
      expect(joined(parts)).toEqual(atOnce);

      const single: Float32Array[] = [];
      for (let t = 0; t < 70; t++) single.push((await run(model, [{ of, from: t, to: t + 1 }]))["y0"]![0]!);
      expect(joined(single)).toEqual(atOnce);
      await model.dispose();
    });

    // What the formats lose of keys and values; that nothing else is lost, native/test checks.
    const formats = [
      ["F16", 1e-3],
      ["Q8_0", 1.5e-2],
    ] as const;
    const narrow = formats.flatMap(([format, tolerance]) =>
      variants.map(([name, attributes]) => ({ format, tolerance, name, attributes })),
    );
    it.each(narrow)("$name in $format: near attention, however a prompt is cut", async ({ format, tolerance, attributes }) => {
      const model = await load(attributes, [0], format);
      const of = sequence(attributes, 70, [5, 0, 3], 1);
      const atOnce = (await run(model, [{ of, from: 0, to: 70 }]))["y0"]![0]!;
      expectLike({ y: atOnce }, { y: whole(attributes, of) }, tolerance);
      const parts: Float32Array[] = [];
      for (const [from, to] of [
        [0, 33],
        [33, 34],
        [34, 70],
      ] as const)
        parts.push((await run(model, [{ of, from, to }]))["y0"]![0]!);
      expect(joined(parts)).toEqual(atOnce);
      await model.dispose();
    });

    it("sequences side by side do not see each other, whoever is with whom", async () => {
      const model = await load(base);
      const [a, b, c] = [sequence(base, 40, [4, 2], 1), sequence(base, 5, [0], 2), sequence(base, 35, [6, 1], 3)];
      const first = await run(model, [
        { of: a, from: 0, to: 30 },
        { of: b, from: 0, to: 4 },
      ]);
      const second = await run(model, [
        { of: c, from: 0, to: 35 },
        { of: b, from: 4, to: 5 },
        { of: a, from: 30, to: 40 },
      ]);
      const found = {
        a: joined([first["y0"]![0]!, second["y0"]![2]!]),
        b: joined([first["y0"]![1]!, second["y0"]![1]!]),
        c: second["y0"]![0]!,
      };
      expectLike(found, { a: whole(base, a), b: whole(base, b), c: whole(base, c) }, cacheTolerance);
      await model.dispose();
    });

    it("what a page held before is not seen", async () => {
      const model = await load(base);
      const [old, young] = [sequence(base, 2 * pageSize, [3, 4], 5), sequence(base, 3, [4], 6)];
      await run(model, [{ of: old, from: 0, to: old.length }]);
      const found = await run(model, [{ of: young, from: 0, to: 3 }]);
      expectLike({ y: found["y0"]![0]! }, { y: whole(base, young) }, cacheTolerance);
      await model.dispose();
    });

    it("each layer keeps its own", async () => {
      const model = await load(base, [0, 1, 2]);
      const of = sequence(base, 9, [2], 7);
      await run(model, [{ of, from: 0, to: 5 }]);
      const found = await run(model, [{ of, from: 5, to: 9 }]);
      const width = base.heads * base.headSize;
      for (const layer of [0, 1, 2]) {
        const wanted = { data: Array.from(whole(base, of, layer).data).slice(5 * width) };
        expectLike({ y: found[`y${layer}`]![0]! }, { y: { data: Float64Array.from(wanted.data) } }, cacheTolerance);
      }
      expect(model.memory.cache).toBeGreaterThanOrEqual(3 * 7 * pageSize * 2 * 2 * 8 * 4);
      await model.dispose();
    });

    it("refuses to load without pages", async () => {
      await expect((await create()).load({ main: cacheGraph(base, [0]) }, new Map(), { caps })).rejects.toMatchObject({
        code: "FRUGAL_BAD_ARGUMENT",
      });
    });

    it("refuses pages and positions that are not there", async () => {
      const model = await load(base);
      for (const pages of [[7], [-1]])
        await expect(run(model, [{ of: sequence(base, 3, pages, 1), from: 0, to: 3 }])).rejects.toMatchObject({
          code: "FRUGAL_BAD_ARGUMENT",
        });
      await expect(run(model, [{ of: sequence(base, 40, [1], 1), from: 30, to: 40 }])).rejects.toMatchObject({
        code: "FRUGAL_BAD_ARGUMENT",
      });
      await model.dispose();
    });
  });
}

/** cacheAttention gives what attention over the whole sequence gives, however the rows are dealt out to calls and pages. */
import { describe, expect, it } from "vitest";
import type { CacheFormat, LoadedModel } from "../../src/backends/backend.ts";
import type { AttentionAttributes } from "../../src/ops/attend.ts";
import { pageSize } from "../../src/ops/cache.ts";
import { base, cacheGraph, caps, joined, run, sequence, whole } from "./cached-sequences.ts";
import { expectLike, type Implementation } from "./implementation.ts";

const variants: readonly (readonly [string, AttentionAttributes])[] = [
  ["plain", base],
  ["a window", { ...base, window: 7 }],
  ["a window of more than a page", { ...base, window: 40 }],
  ["a soft cap", { ...base, softcap: 1.2 }],
  ["slopes", { ...base, slopes: [0.5, 0.25, 0.125, 0.0625] }],
  ["one head of keys", { ...base, keyValueHeads: 1 }],
];
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
      ["Q4_0", 0.25],
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

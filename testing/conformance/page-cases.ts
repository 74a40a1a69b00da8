/** Pages beside runs: copied, read, written, dealt to several page tables; what they hold after is the same to the bit. */
import { describe, expect, it } from "vitest";
import type { CacheFormat, LoadedModel } from "../../src/backends/backend.ts";
import { pageSize } from "../../src/ops/cache.ts";
import { base, cacheGraph, caps, run, sequence } from "./cached-sequences.ts";
import type { Implementation } from "./implementation.ts";

const pages = (...numbers: number[]): Int32Array => Int32Array.from(numbers);
const layers = [0, 1];
const formats: readonly CacheFormat[] = ["F32", "F16", "Q8_0", "Q4_0"];

export function pageCases({ create, skips }: Implementation): void {
  const load = async (
    cacheFormat: CacheFormat = "F32",
    tables: readonly string[] = [],
    given: object = { cachePages: 7 },
  ): Promise<LoadedModel> =>
    (await create()).load({ main: cacheGraph(base, layers, tables) }, new Map(), { caps, cachePages: 7, cacheFormat, ...given });
  const of = sequence(base, 70, [5, 0, 3], 1);
  const last = (model: LoadedModel, its: readonly number[]): Promise<unknown> =>
    run(model, [{ of: { ...of, pages: its }, from: 69, to: 70 }]);

  describe.skipIf("cacheAttention" in skips)("pages", () => {
    it.each(formats)("%s: copied, they serve as their originals do", async (format) => {
      const model = await load(format);
      await run(model, [{ of, from: 0, to: 69 }]);
      await model.copyPages("pageTable", pages(5, 0, 3, 3), pages(1, 2, 4, 4));
      const wanted = await last(model, [5, 0, 3]);
      expect(await last(model, [1, 2, 4])).toEqual(wanted);
      // In order: what was copied to is what is copied next.
      await model.copyPages("pageTable", pages(1, 6), pages(6, 5));
      expect(await last(model, [5, 2, 4])).toEqual(wanted);
      await model.dispose();
    });

    it.each(formats)("%s: read and written elsewhere, they serve as before", async (format) => {
      const model = await load(format);
      await run(model, [{ of, from: 0, to: 69 }]);
      const held = await model.readPages("pageTable", pages(5, 0, 3));
      const wanted = await last(model, [5, 0, 3]);
      await model.writePages("pageTable", pages(0, 5, 3), new Uint8Array(held.length).fill(255));
      await expect(last(model, [5, 0, 3])).rejects.toMatchObject({ code: "FRUGAL_NUMERIC" });
      await model.writePages("pageTable", pages(1, 2, 4), held);
      expect(await model.readPages("pageTable", pages(1, 2, 4))).toEqual(held);
      expect(await last(model, [1, 2, 4])).toEqual(wanted);
      expect(await model.readPages("pageTable", pages())).toEqual(new Uint8Array(0));
      expect(held.length * 7).toBe(model.memory.cache * 3);
      await model.dispose();
    });

    it("calls queue in order with runs, with the pages as they were given", async () => {
      const model = await load();
      const [from, to] = [pages(5, 0, 3), pages(1, 2, 4)];
      const done = [
        run(model, [{ of, from: 0, to: 69 }]),
        model.copyPages("pageTable", from, to),
        model.readPages("pageTable", to),
      ] as const;
      const emptied = model.writePages("pageTable", pages(5), new Uint8Array((model.memory.cache / 7) | 0));
      from.fill(6);
      to.fill(6);
      const copied = last(model, [1, 2, 4]);
      expect(await model.readPages("pageTable", pages(1, 0, 3))).not.toEqual(new Uint8Array((await done[2]).length));
      await Promise.all([...done, emptied]);
      const moved = await copied;
      await run(model, [{ of, from: 0, to: 69 }]);
      expect(await last(model, [5, 0, 3])).toEqual(moved);
      await model.dispose();
    });

    it("each table has its own pages, of which it may have another number", async () => {
      const tables = ["pageTable", "pageTable.40"];
      const model = await load("F32", tables, { cachePages: { pageTable: 3, "pageTable.40": 5 } });
      const shared = await load();
      const mine = { ...of, pages: [2, 0, 1], others: { "pageTable.40": [4, 1, 3] } };
      expect(await run(model, [{ of: mine, from: 0, to: 70 }])).toEqual(await run(shared, [{ of, from: 0, to: 70 }]));
      await model.copyPages("pageTable.40", pages(4), pages(0));
      await expect(model.copyPages("pageTable", pages(4), pages(0))).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT" });
      const poison = new Uint8Array((await model.readPages("pageTable.40", pages(4))).length).fill(255);
      await model.writePages("pageTable.40", pages(4), poison);
      const again = { ...mine, others: { "pageTable.40": [0, 1, 3] } };
      expect(await run(model, [{ of: again, from: 69, to: 70 }])).toEqual(await last(shared, [5, 0, 3]));
      await expect(run(model, [{ of: { ...of, pages: [4, 0, 1], others: mine.others }, from: 0, to: 70 }])).rejects.toMatchObject({
        code: "FRUGAL_BAD_ARGUMENT",
      });
      for (const each of [model, shared]) await each.dispose();
    });

    it("a page that lies before the window is not looked at", async () => {
      const model = await (
        await create()
      ).load({ main: cacheGraph({ ...base, window: 20 }, [0], ["pageTable.20"]) }, new Map(), {
        caps,
        cachePages: { "pageTable.20": 4 },
      });
      const mine = { ...of, pages: [0, 0, 0], others: { "pageTable.20": [3, 1, 2] } };
      await run(model, [{ of: mine, from: 0, to: 60 }]);
      // Rows from 60 on see 41 and on, rows from 51 on 32 and on.
      const poison = new Uint8Array((await model.readPages("pageTable.20", pages(0))).length).fill(255);
      await model.writePages("pageTable.20", pages(0, 3), new Uint8Array([...poison, ...poison]));
      const gone = { ...mine, others: { "pageTable.20": [0, 1, 2] } };
      const fresh = await (await create()).load({ main: cacheGraph({ ...base, window: 20 }, [0]) }, new Map(), { caps, cachePages: 7 });
      const wanted = (await run(fresh, [{ of, from: 0, to: 70 }]))["y0"]![0]!;
      const width = wanted.length / 70;
      for (const [from, to] of [
        [60, 70],
        [51, 70],
        [63, 64],
      ] as const)
        expect((await run(model, [{ of: gone, from, to }]))["y0"]![0]).toEqual(wanted.slice(from * width, to * width));
      // The row before still sees it.
      await expect(run(model, [{ of: gone, from: 50, to: 51 }])).rejects.toMatchObject({ code: "FRUGAL_NUMERIC" });
      for (const each of [model, fresh]) await each.dispose();
    });

    it("refuses pages, tables and lengths that are not there, and calls after the end", async () => {
      const model = await load();
      const size = (await model.readPages("pageTable", pages(0))).length;
      expect(size).toBe(model.memory.cache / 7);
      const wrong = [
        () => model.copyPages("pageTable", pages(0, 7), pages(1, 2)),
        () => model.copyPages("pageTable", pages(0), pages(-1)),
        () => model.copyPages("pageTable", pages(0, 1), pages(2)),
        () => model.copyPages("pageTabel", pages(0), pages(1)),
        () => model.copyPages("pageTable", [0] as never, pages(1)),
        () => model.readPages("pageTable", pages(7)),
        () => model.readPages("toString", pages(0)),
        () => model.writePages("pageTable", pages(0, 1), new Uint8Array(size)),
        () => model.writePages("pageTable", pages(-2147483648), new Uint8Array(size)),
        () => model.writePages("pageTable", pages(0), new Float32Array(size) as never),
      ];
      for (const call of wrong) await expect(call()).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT" });
      await expect(wrong[3]!()).rejects.toThrow(/did you mean "pageTable"/);
      await model.dispose();
      for (const call of [...wrong, () => model.readPages("pageTable", pages(0))])
        await expect(call()).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
    });

    it.each([
      ["a table too many", { pageTable: 3, "pageTable.64": 2 }, /no page table "pageTable.64"; did you mean "pageTable"/],
      ["no pages", { pageTable: 0 }, /cachePages of "pageTable" is 0/],
      ["half a page", 2.5, /cachePages of "pageTable" is 2.5/],
      ["no table", {}, /cachePages of "pageTable" is 0/],
    ])("refuses to load with %s", async (_, cachePages, message) => {
      await expect(load("F32", [], { cachePages })).rejects.toMatchObject({
        code: "FRUGAL_BAD_ARGUMENT",
        message: expect.stringMatching(message) as string,
      });
    });

    it("refuses graphs that disagree about a layer", async () => {
      const backend = await create();
      const main = cacheGraph(base, layers);
      for (const other of [cacheGraph({ ...base, headSize: 4 }, layers), cacheGraph(base, layers, ["pageTable", "pageTable.9"])])
        await expect(backend.load({ main, other }, new Map(), { caps, cachePages: pageSize })).rejects.toMatchObject({
          code: "FRUGAL_SHAPE",
        });
    });
  });
}

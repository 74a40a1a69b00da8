/** What a token costs in each page table, against what a backend allocates for it. */
import { expect, it } from "vitest";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { openCheckpoint } from "../models/open-checkpoint.ts";
import { openModel } from "../models/index.ts";
import { pageSize } from "../ops/cache.ts";
import { cacheBytesPerToken, pageTables } from "./cache-needs.ts";

it("each layer is counted in the table that places it", async () => {
  const opened = await openCheckpoint("testing/fixtures/families/gemma-3", {});
  const model = openModel(opened.checkpoint);
  const short = model.graphs({ contextLength: 15 })["generate"]!;
  const long = model.graphs({ contextLength: 16 })["generate"]!;
  const all = pageTables(short, "F32");
  expect(all).toEqual([{ name: "pageTable", window: undefined, bytesPerToken: 7 * 2 * 16 * 4 }]);
  const both = pageTables(long, "F32");
  expect(new Map(both.map(({ name, window }) => [name, window]))).toEqual(
    new Map([
      ["pageTable.8", 8],
      ["pageTable", undefined],
    ]),
  );
  expect(cacheBytesPerToken(long, "F32")).toBe(all[0]!.bytesPerToken);
  expect(cacheBytesPerToken(long, "Q8_0")).toBe(7 * 2 * 34);
  expect(cacheBytesPerToken(long, "Q4_0")).toBe(7 * (34 + 18));
  const pages = Object.fromEntries(both.map(({ name }, i) => [name, 2 + 3 * i]));
  const loaded = await createReferenceBackend().load({ generate: long }, model.weights, {
    caps: { T: 1, S: 1, C: 1, R: 1 },
    cachePages: pages,
  });
  expect(loaded.memory.cache).toBe(both.reduce((sum, { name, bytesPerToken }) => sum + pages[name]! * pageSize * bytesPerToken, 0));
  await loaded.dispose();
  await opened.close();
});

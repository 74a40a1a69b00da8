/** Packing is exact, order is a function of the seed, and a source goes on where it stood. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BatchOptions, createBatches, packAll } from "./batches.ts";
import type { Example, Preference } from "./example.ts";
import { firstFitDecreasing } from "./first-fit.ts";
import { epochOrder } from "./order.ts";
import { packBatch } from "./pack.ts";
import type { Batch } from "../batch.ts";

/** An id of 10 times the example's number, and on; the first `quiet` are not predicted. */
const example = (number: number, length: number, quiet = 0): Example => ({
  name: `row ${number}`,
  ids: Int32Array.from({ length }, (_, i) => 10 * number + i),
  scored: Uint8Array.from({ length }, (_, i) => (i < quiet ? 0 : 1)),
});
const arrays = ({ inputs }: Batch): Record<string, number[]> =>
  Object.fromEntries(Object.entries(inputs).map(([name, numbers]) => [name, [...numbers]]));

describe("packBatch", () => {
  it("puts examples side by side", () => {
    const batch = packBatch([example(1, 3), example(2, 4, 2)], 0.25);
    expect(arrays(batch)).toEqual({
      tokens: [10, 11, 12, 20, 21, 22, 23],
      positions: [0, 1, 2, 0, 1, 2, 3],
      rowOffsets: [0, 3, 7],
      outputRows: [0, 1, 4, 5],
      targets: [11, 12, 22, 23],
      lossWeights: [0.25, 0.25, 0.25, 0.25],
    });
    expect(batch.symbols).toEqual({ T: 7, S: 2, C: 0, R: 4 });
    expect(batch.examples).toEqual(["row 1", "row 2"]);
  });

  it("puts virtual rows in front, which predict the first id where it counts", () => {
    expect(arrays(packBatch([example(1, 2), example(2, 2, 1)], 1, { virtualTokens: 2 }))).toMatchObject({
      tokens: [0, 0, 10, 11, 0, 0, 20, 21],
      positions: [0, 1, 2, 3, 0, 1, 2, 3],
      virtual: [0, 1, -1, -1, 0, 1, -1, -1],
      rowOffsets: [0, 4, 8],
      outputRows: [1, 2, 6],
      targets: [10, 11, 21],
    });
  });

  it("counts positions as the model does", () => {
    const positionsOf = (ids: Int32Array): Int32Array => ids.map((_, i) => i + 2);
    expect(arrays(packBatch([example(1, 2)], 1, { positionsOf }))["positions"]).toEqual([2, 3]);
    expect(arrays(packBatch([example(1, 2)], 1, { positionsOf, virtualTokens: 1 }))["positions"]).toEqual([0, 3, 4]);
  });

  it("marks where the results of each sequence begin, where that is asked for", () => {
    expect(arrays(packBatch([example(1, 3), example(2, 4, 3)], 1, { marksSequences: true }))["scoredOffsets"]).toEqual([0, 2, 3]);
  });
});

describe("firstFitDecreasing", () => {
  it("puts every item into one bin, and no bin above its capacity", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 })), fc.integer({ min: 20, max: 60 }), (sizes, capacity) => {
        const bins = firstFitDecreasing(sizes, capacity);
        expect(bins.flat().toSorted((a, b) => a - b)).toEqual(sizes.map((_, i) => i));
        const loads = bins.map((bin) => bin.reduce((sum, i) => sum + sizes[i]!, 0));
        for (const load of loads) expect(load).toBeLessThanOrEqual(capacity);
        const least = Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / capacity);
        expect(bins.length).toBeLessThanOrEqual(2 * least);
        expect(loads.filter((load) => 2 * load <= capacity).length).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("fits where taking items in order would not", () => {
    expect(firstFitDecreasing([3, 6, 7, 4], 10)).toEqual([
      [0, 2],
      [1, 3],
    ]);
    expect(firstFitDecreasing([12, 1], 10)).toEqual([[0], [1]]);
  });
});

describe("epochOrder", () => {
  it("is a permutation that depends on seed and epoch", () => {
    const order = (seed: number, epoch: number): number[] => [...epochOrder(50, "shuffled", seed, epoch)];
    expect(order(1, 0).toSorted((a, b) => a - b)).toEqual([...epochOrder(50, "file", 1, 0)]);
    expect(order(1, 0)).toEqual(order(1, 0));
    for (const other of [order(2, 0), order(1, 1), order(1 + 2 ** 32, 0)]) expect(other).not.toEqual(order(1, 0));
  });

  it("takes every order equally often", () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 6000; seed++) {
      const order = epochOrder(3, "shuffled", seed, 0).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // Five standard deviations.
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(6000 * (1 / 6) * (5 / 6)));
  });
});

/** The names in each batch of each step. */
async function steps(
  examples: readonly (Example | Preference)[],
  options: BatchOptions,
  count: number,
  state?: unknown,
): Promise<string[][]> {
  const source = createBatches(examples, options);
  if (state !== undefined) source.resume(JSON.parse(JSON.stringify(state)));
  const found: string[][] = [];
  for (let i = 0; i < count; i++) {
    const batches = await source.next();
    if (batches === undefined) break;
    for (const { symbols } of batches)
      for (const name of ["T", "S", "R"] as const) expect(symbols[name]).toBeLessThanOrEqual(source.caps[name]);
    found.push(batches.map((batch) => batch.examples.map((name) => name.replace("row ", "")).join(" ")));
  }
  return found;
}

const five = [4, 9, 2, 7, 5].map((length, i) => example(i + 1, length));
const inOrder = { order: "file" } as const;

describe("createBatches", () => {
  it("takes examples in the order of the file, epoch after epoch", async () => {
    expect(await steps(five, { ...inOrder, examplesPerStep: 2 }, 5)).toEqual([["1 2"], ["3 4"], ["5 1"], ["2 3"], ["4 5"]]);
    expect(await steps(five.slice(0, 2), { ...inOrder, examplesPerStep: 5 }, 2)).toEqual([["1 2 1 2 1"], ["2 1 2 1 2"]]);
    expect(await steps(five, inOrder, 2)).toEqual([["1"], ["2"]]);
  });

  it("ends after the epochs, with what is left", async () => {
    const options = { ...inOrder, examplesPerStep: 3, epochs: 2 };
    expect(await steps(five, options, 9)).toEqual([["1 2 3"], ["4 5 1"], ["2 3 4"], ["5"]]);
    expect(createBatches(five, options).expectedSteps).toBe(4);
    expect(createBatches(five, inOrder).expectedSteps).toBeUndefined();
  });

  it("shuffles anew in every epoch, by the seed", async () => {
    const once = async (seed: number): Promise<string[]> => (await steps(five, { examplesPerStep: 5, seed }, 3)).flat();
    const [first, second] = await once(1);
    expect(first).not.toBe(second);
    expect(await once(1)).toEqual(await once(1));
    expect(await once(2)).not.toEqual(await once(1));
    for (const step of await once(3)) expect(step.split(" ").toSorted()).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("splits a step into batches under a cap of rows, whose weights are a mean over the step", async () => {
    expect(await steps(five, { ...inOrder, examplesPerStep: 5, rows: 12 }, 1)).toEqual([["1", "2 3", "4 5"]]);
    const batches = await createBatches(five, { ...inOrder, examplesPerStep: 5, rows: 12 }).next();
    const weights = batches!.flatMap(({ inputs }) => [...inputs["lossWeights"]!]);
    expect(new Set(weights)).toEqual(new Set([Math.fround(1 / 22)]));
    expect(weights).toHaveLength(22);
  });

  it("fills steps of so many rows by length, within a window", async () => {
    expect(await steps(five, { ...inOrder, tokensPerStep: 11 }, 4)).toEqual([["1 4"], ["2 3"], ["5"], ["1 4"]]);
    expect(await steps(five, { ...inOrder, tokensPerStep: 11, window: 2 }, 5)).toEqual([["1"], ["2"], ["3 4"], ["5"], ["1"]]);
    expect(createBatches(five, { ...inOrder, tokensPerStep: 11, window: 2, epochs: 3 }).expectedSteps).toBe(12);
    expect(await steps(five, { ...inOrder, tokensPerStep: 11, epochs: 1, rows: 9 }, 9)).toEqual([["1", "4"], ["2", "3"], ["5"]]);
    // Virtual rows count.
    expect(await steps(five, { ...inOrder, tokensPerStep: 11, virtualTokens: 1 }, 2)).toEqual([["1 5"], ["2"]]);
  });

  it("fills rows well: random lengths leave less than 3 % empty", async () => {
    const many = Array.from({ length: 500 }, (_, i) => example(i, 20 + ((i * 7919) % 180)));
    const source = createBatches(many, { tokensPerStep: 512, epochs: 1 });
    let [rows, count] = [0, 0];
    for (let batches = await source.next(); batches !== undefined; batches = await source.next(), count++) rows += batches[0]!.symbols.T;
    expect(rows).toBe(many.reduce((sum, { ids }) => sum + ids.length, 0));
    expect(rows / (count * 512)).toBeGreaterThan(0.97);
  });

  it("goes on from a state as if it had not stopped", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.nat(99),
          rows: fc.constantFrom(undefined, 9, 14),
          size: fc.constantFrom(
            { examplesPerStep: 1 },
            { examplesPerStep: 3 },
            { examplesPerStep: 7 },
            { tokensPerStep: 14 },
            { tokensPerStep: 9, window: 2 },
          ),
          order: fc.constantFrom("file" as const, "shuffled" as const),
        }),
        fc.nat(12),
        async ({ size, ...others }, before) => {
          const options = { ...size, ...others };
          const source = createBatches(five, options);
          for (let i = 0; i < before; i++) await source.next();
          expect(await steps(five, options, 4, source.state())).toEqual((await steps(five, options, before + 4)).slice(before));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("refuses states that are damaged or of other examples", () => {
    const source = createBatches(five);
    const state = source.state() as Record<string, number>;
    expect(() => createBatches(five.slice(1)).resume(state)).toThrow(/had 5 examples of 27 rows, these are 4 of 23/);
    for (const damaged of [
      undefined,
      {},
      { ...state, epoch: -1 },
      { ...state, index: "1" },
      { ...state, taken: 0.5 },
      { ...state, index: 5 },
      { ...state, taken: 9 },
    ])
      expect(() => source.resume(damaged)).toThrow(/checkpoint is damaged/);
  });

  it("keeps both answers of a preference together", async () => {
    const pair = (number: number, length: number): Preference => ({
      name: `row ${number}`,
      chosen: example(number, length, 2),
      rejected: example(number + 1, 4, 3),
    });
    const options = { ...inOrder, examplesPerStep: 2, rows: 9 };
    expect(await steps([pair(1, 5), pair(3, 3)], options, 1)).toEqual([["1 2", "3 4"]]);
    const [batch] = (await createBatches([pair(1, 5), pair(3, 3)], options).next())!;
    expect(arrays(batch!)).toMatchObject({ scoredOffsets: [0, 3, 4], lossWeights: [0.5, 0.5, 0.5, 0.5] });
    expect(() => createBatches([pair(1, 5), example(1, 2)])).toThrow(/examples and preferences are mixed/);
  });

  it.each([
    [{ examplesPerStep: 0 }, /examplesPerStep is 0/],
    [{ rows: 1.5 }, /rows is 1.5/],
    [{ epochs: 0 }, /epochs is 0/],
    [{ window: 0 }, /window is 0/],
    [{ seed: -1 }, /seed is -1/],
    [{ virtualTokens: -1 }, /virtualTokens is -1/],
    [{ order: "random" as "file" }, /order is "random"; it may be "file" or "shuffled"/],
    [{ examplesPerStep: 1, tokensPerStep: 9 }, /both say how large a step is/],
    [{ rows: 8 }, /row 2: has 9 rows, more than the 8 of rows/],
    [{ tokensPerStep: 9, virtualTokens: 1 }, /row 2: has 10 rows, more than the 9 of tokensPerStep/],
  ])("%j is refused", (options, message) => {
    expect(() => createBatches(five, options)).toThrow(message);
  });

  it("refuses to learn nothing", () => {
    expect(() => createBatches([])).toThrow(/no examples to learn from/);
    expect(() => createBatches([example(1, 3, 3)])).toThrow(/row 1: nothing is to be predicted/);
  });
});

describe("packAll", () => {
  it("packs every example once, with weights that sum to 1", () => {
    const batches = packAll(five, { rows: 12 });
    expect(batches.flatMap(({ examples }) => examples).toSorted()).toEqual(five.map(({ name }) => name));
    const total = batches.flatMap(({ inputs }) => [...inputs["lossWeights"]!]).reduce((sum, weight) => sum + weight, 0);
    expect(total).toBeCloseTo(1, 6);
    expect(packAll(five)).toHaveLength(1);
  });
});

/** Compressed gradients: the same on all ranks, bytes as the formulas say, and learning that feedback keeps close to that of whole gradients. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onRanks } from "../../../testing/ranks.ts";
import { pack, reference, sourceOf, tinyTrainable } from "../../../testing/training.ts";
import { dataParallel } from "../../training/parallel/data-parallel.ts";
import type { GradientCompression } from "../../training/parallel/compression.ts";
import { runTraining } from "../../training/run.ts";
import { sgd } from "../../training/update-rules/sgd.ts";
import { eightBit } from "./eight-bit.ts";
import { gradientCompression } from "./index.ts";
import { powerSgd } from "./power-sgd.ts";
import { topK } from "./top-k.ts";

const [rows, columns] = [12, 40];
const shape = [rows, columns];
const gradientOf = (rank: number, step = 0): Float32Array =>
  Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(1 + 0.7 * i * i + 3 * rank + step) * 10 ** -(i % 5));

interface Summed {
  readonly sums: readonly Float32Array[];
  readonly bytes: number;
}
const summed = (compression: GradientCompression, size = 2, steps = 1, given = gradientOf): Promise<Summed[]> =>
  onRanks(size, async (collective) => {
    const compressor = compression.start(collective);
    const sums: Float32Array[] = [];
    for (let step = 0; step < steps; step++) {
      const gradient = given(collective.rank, step);
      await compressor.sum("weight", shape, gradient);
      sums.push(gradient);
    }
    return { sums, bytes: collective.traffic.bytesSent };
  });
const exact = (size: number, step = 0): Float32Array =>
  gradientOf(0, step).map((_, i) => Array.from({ length: size }, (__, rank) => gradientOf(rank, step)[i]!).reduce((a, b) => a + b));

describe.each([topK({ density: 0.1 }), powerSgd({ rank: 2 }), eightBit({ block: 32 })])("$name", (compression) => {
  it.each([1, 2, 3])("%i ranks end with the same numbers", async (size) => {
    const all = await summed(compression, size, 2);
    for (const { sums } of all) expect(sums).toEqual(all[0]!.sums);
  });

  it("pays what it owes: what it sent over many steps is the sum of all gradients, but for the last", async () => {
    const constant = (rank: number): Float32Array => gradientOf(rank);
    const total = async (steps: number): Promise<number> => {
      const [{ sums }] = (await summed(compression, 2, steps, constant)) as [Summed, Summed];
      const wanted = exact(2);
      let [difference, scale] = [0, 0];
      wanted.forEach((v, i) => {
        difference += (sums.reduce((sum, each) => sum + each[i]!, 0) / steps - v) ** 2;
        scale += v ** 2;
      });
      return Math.sqrt(difference / scale);
    };
    expect(await total(40)).toBeLessThan(0.35 * (await total(1)));
  });
});

it("is found by its name", () => {
  expect(gradientCompression("power-sgd", { rank: 2 }).name).toBe("power-sgd");
  expect(() => gradientCompression("powersgd")).toThrow(/did you mean power-sgd/);
  expect(() => gradientCompression("top-k", { density: 2 })).toThrow(/at most 1, got 2/);
});

describe("top-k", () => {
  it("sends the largest numbers and their places", async () => {
    for (const density of [0.05, 0.5]) {
      const count = Math.round(density * rows * columns);
      const [one, two] = (await summed(topK({ density }), 2)) as [Summed, Summed];
      expect(one.bytes).toBe(8 * count);
      const kept = [gradientOf(0), gradientOf(1)].map((g) => {
        const threshold = g.map(Math.abs).sort().at(-count)!;
        return g.map((v) => (Math.abs(v) >= threshold ? v : 0));
      });
      expect(two.sums[0]).toEqual(kept[0]!.map((v, i) => v + kept[1]![i]!));
    }
  });
  it("all numbers are all", async () => {
    const [{ sums }] = (await summed(topK({ density: 1 }), 2)) as [Summed];
    expect(sums[0]).toEqual(exact(2));
  });
  it("momentum adds earlier gradients to what is not sent", async () => {
    const [plain] = (await summed(topK({ density: 0.1 }), 1, 3)) as [Summed];
    const [moving] = (await summed(topK({ density: 0.1, momentum: 0.9 }), 1, 3)) as [Summed];
    expect(moving.sums[0]).toEqual(plain.sums[0]);
    expect(moving.sums[2]).not.toEqual(plain.sums[2]);
  });
  it("refuses senseless options", () => {
    expect(() => topK({ density: 0 })).toThrow(/density must be above 0 and at most 1, got 0/);
    expect(() => topK({ momentum: 1 })).toThrow(/below 1, got 1/);
    expect(() => topK({ densty: 0.1 } as object)).toThrow(/did you mean density/);
  });
});

describe("PowerSGD", () => {
  it("sends two factors, 2 (P - 1) / P of them", async () => {
    for (const rank of [1, 3]) expect((await summed(powerSgd({ rank }), 2))[0]!.bytes).toBe(4 * rank * (rows + columns));
  });
  it("finds a sum of its rank exactly", async () => {
    const lowRank = (of: number): Float32Array =>
      Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(Math.floor(i / columns) + of) * Math.cos(i % columns));
    const [{ sums }] = (await summed(powerSgd({ rank: 2 }), 2, 3, lowRank)) as [Summed];
    sums[2]!.forEach((v, i) => expect(v).toBeCloseTo(lowRank(0)[i]! + lowRank(1)[i]!, 4));
  });
  it("leaves whole what factors would not make smaller", async () => {
    const [{ sums, bytes }] = (await summed(powerSgd({ rank: 12 }), 2)) as [Summed];
    expect(sums[0]).toEqual(exact(2));
    expect(bytes).toBe(4 * rows * columns);
  });
  it("begins elsewhere with another seed", async () => {
    const [one] = (await summed(powerSgd({ rank: 2, seed: 1 }))) as [Summed];
    const [two] = (await summed(powerSgd({ rank: 2, seed: 2 }))) as [Summed];
    expect(one.sums[0]).not.toEqual(two.sums[0]);
  });
  it("refuses senseless options", () => expect(() => powerSgd({ rank: 0 })).toThrow(/from 1, got 0/));
});

describe("8 bits", () => {
  it("sends a byte a number and a scale a block, 2 (P - 1) / P of them", async () => {
    for (const block of [32, 96]) {
      const all = await summed(eightBit({ block }), 2);
      const sent = all.reduce((sum, { bytes }) => sum + bytes, 0);
      expect(sent).toBe(2 * (rows * columns + (4 * rows * columns) / block));
    }
  });
  it("errs by half a step of the block at most, twice", async () => {
    const [{ sums }] = (await summed(eightBit({ block: 40 }))) as [Summed];
    exact(2).forEach((v, i) => expect(Math.abs(sums[0]![i]! - v)).toBeLessThan((1.01 * (0.5 * 2 + 1)) / 127));
  });
  it("refuses senseless options", () => expect(() => eightBit({ block: 0 })).toThrow(/from 1, got 0/));
});

describe("a tiny model, two ranks", () => {
  const ids = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => 3 + ((from * 7 + 5 * i) % 50));
  const batches = [0, 1].map((n) => [pack([ids(n, 9), ids(n + 10, 9), ids(n + 20, 9), ids(n + 30, 9)], ["1", "2", "3", "4"])]);
  let model: Awaited<ReturnType<typeof tinyTrainable>>;
  let whole: number;
  beforeAll(async () => {
    model = await tinyTrainable();
    whole = await lossOf(undefined);
  });
  afterAll(() => model.close());

  /** The mean of the last losses. */
  async function lossOf(compression: GradientCompression | undefined): Promise<number> {
    const [losses] = await onRanks(2, async (collective) => {
      const made = dataParallel(model, sgd(), reference, { collective, evaluates: false, compression });
      return (await runTraining({ ...made, batches: sourceOf(batches), steps: 24, rateAt: () => 0.01 })).losses;
    });
    return (losses!.at(-1)! + losses!.at(-2)!) / 2;
  }

  it.each([
    [topK({ density: 0.25 }), topK({ density: 0.25, feedback: false })],
    [powerSgd({ rank: 8 }), powerSgd({ rank: 8, feedback: false })],
    // One magnitude for all numbers of a weight: with small blocks rounding takes too little to be seen.
    [eightBit({ block: 1 << 16 }), eightBit({ block: 1 << 16, feedback: false })],
  ])("learns as whole gradients do, within 2 %, and less well without feedback: $name", async (kept, lost) => {
    const [near, far] = [await lossOf(kept), await lossOf(lost)];
    expect(Math.abs(near / whole - 1)).toBeLessThan(0.02);
    expect(Math.abs(far / whole - 1)).toBeGreaterThan(Math.abs(near / whole - 1));
  });
});

/** Weights of slots: written while a model is loaded, read row by row, each row as if it were alone. */
import { describe, expect, it } from "vitest";
import type { LoadedModel, Weight } from "../../src/backends/backend.ts";
import { symbol, type Symbols } from "../../src/graph/dim.ts";
import type { Graph } from "../../src/graph/value.ts";
import { createBuilder } from "../../src/ops/builder.ts";
import { size } from "../../src/tensor/shape.ts";
import type { Implementation } from "./implementation.ts";
import { numbersOf } from "./numbers.ts";

const [T, caps] = [symbol("T"), { T: 40, S: 1, C: 1, R: 1 } satisfies Symbols];
const [slots, rank, inputs] = [3, 18, 37];
/** Two linears of the same rows, each with its adapters; the second one's result feeds both a product and an output. */
const outputs = [300, 20] as const;

const shapes: readonly (readonly [string, readonly number[]])[] = outputs.flatMap((width, i) => [
  [`w${i}`, [width, inputs]] as const,
  [`w${i}.a`, [slots, inputs, rank]] as const,
  [`w${i}.b`, [slots, rank, width]] as const,
  [`w${i}.ranks`, [slots]] as const,
]);

function graph(adapted: boolean): Graph {
  const b = createBuilder();
  const x = b.input("x", { shape: [T, inputs], type: "f32" });
  const ids = b.input("slots", { shape: [T], type: "i32" });
  const [wide, narrow] = outputs.map((width, i) => {
    const y = b.matmul(x, b.weight(`w${i}`, [width, inputs]));
    if (!adapted) return y;
    const [a, up] = [b.weight(`w${i}.a`, [slots, inputs, rank]), b.weight(`w${i}.b`, [slots, rank, width])];
    return b.addLowRank(y, x, a, up, b.weight(`w${i}.ranks`, [slots]), ids);
  });
  return {
    outputs: new Map([
      ["wide", wide!],
      ["narrow", b.scale(narrow!, { by: 0.5 })],
    ]),
  };
}

const weights = new Map<string, Weight>(
  shapes.map(([name, shape], i) => [
    name,
    {
      shape,
      content: {
        values: async () =>
          name.includes(".") ? new Float32Array(size(shape)) : (numbersOf("normal", size(shape), "f32", i) as Float32Array),
      },
    },
  ]),
);

function adapter(seed: number, ranks: readonly number[]): ReadonlyMap<string, Float32Array> {
  const normal = (count: number, more: number): Float32Array => numbersOf("normal", count, "f32", 100 * seed + more) as Float32Array;
  return new Map(
    outputs.flatMap((width, i) => [
      [`w${i}.a`, normal(inputs * ranks[i]!, 2 * i)] as const,
      [`w${i}.b`, normal(ranks[i]! * width, 2 * i + 1)] as const,
      [`w${i}.ranks`, Float32Array.of(ranks[i]!)] as const,
    ]),
  );
}

export function slotCases({ create }: Implementation): void {
  const load = async (): Promise<LoadedModel> => (await create()).load({ main: graph(true), plain: graph(false) }, weights, { caps });
  const x = numbersOf("normal", 40 * inputs, "f32", 7) as Float32Array;
  const run = async (model: LoadedModel, ids: readonly number[], first = 0, program = "main"): Promise<readonly number[][]> => {
    const found = await model.run({
      program,
      symbols: { ...caps, T: ids.length },
      inputs: { x: x.slice(first * inputs, (first + ids.length) * inputs), slots: Int32Array.from(ids) },
    });
    return outputs.flatMap((width, i) => ids.map((_, row) => [...found[["wide", "narrow"][i]!]!.subarray(row * width, (row + 1) * width)]));
  };

  describe("slots", () => {
    it("give each row its own adapter, the same bits alone and among others", async () => {
      const model = await load();
      await model.writeSlot(0, adapter(1, [18, 5]));
      await model.writeSlot(1, adapter(2, [3, 0]));
      await model.writeSlot(2, adapter(3, [16, 16]));
      for (const ids of [[0, 0, 0, 0, 0, 1, 1, -1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], [2, 0, 1, -1], Array.from({ length: 40 }, () => 0)]) {
        const together = await run(model, ids);
        for (const [row, id] of ids.entries()) {
          const alone = await run(model, [id], row);
          expect([together[row], together[ids.length + row]]).toEqual(alone);
        }
      }
      const plain = await run(model, [-1, -1, -1], 0, "plain");
      expect(await run(model, [-1, -1, -1])).toEqual(plain);
      // A rank of 0 adds nothing; others do.
      const [wide, narrow] = await run(model, [1]);
      expect(narrow).toEqual(plain[3]);
      expect(wide).not.toEqual(plain[0]);
      await model.dispose();
    });

    it("hold what was written last, in the order of calls", async () => {
      const model = await load();
      const first = model.writeSlot(1, adapter(1, [4, 4]));
      const before = run(model, [1, -1]);
      const second = model.writeSlot(1, adapter(2, [2, 2]));
      const after = run(model, [1, -1]);
      await Promise.all([first, second]);
      await model.writeSlot(0, adapter(1, [4, 4]));
      expect(await before).toEqual(await run(model, [0, -1]));
      expect((await after)[0]).not.toEqual((await before)[0]);
      await model.dispose();
    });

    it.each([
      ["an unknown weight", 0, "w0.c", 1, "FRUGAL_NOT_FOUND", /did you mean "w0\.[ab]"/],
      ["a weight without slots", 0, "w0", 1, "FRUGAL_NOT_FOUND", /"w0"/],
      ["a slot too far", 3, "w0.a", 1, "FRUGAL_BAD_ARGUMENT", /slots 0 to 2, got 3/],
      ["too many numbers", 0, "w0.a", inputs * rank + 1, "FRUGAL_SHAPE", /666 numbers, got 667/],
    ] as const)("refuse %s", async (_, slot, name, count, code, message) => {
      const model = await load();
      const writing = model.writeSlot(slot, new Map([[name, new Float32Array(count)]]));
      await expect(writing).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
      await expect(model.writeSlot(0, new Map([["w0.a", Float32Array.of(NaN)]]))).rejects.toMatchObject({ code: "FRUGAL_NUMERIC" });
      await model.dispose();
      await expect(model.writeSlot(0, new Map())).rejects.toMatchObject({ code: "FRUGAL_DISPOSED" });
    });

    it.each([[3], [-2]])("refuse a row of slot %i", async (id) => {
      const model = await load();
      await expect(run(model, [0, id])).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT" });
      await model.dispose();
    });
  });
}

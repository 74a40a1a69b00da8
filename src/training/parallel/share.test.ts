/** Every sequence of a step goes to one rank, with its rows, its scored rows and its loss weights. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { pack } from "../../../testing/training.ts";
import type { Batch } from "../batch.ts";
import { shareOf } from "./share.ts";

const texts = fc.array(fc.array(fc.nat(50), { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 7 });
const numbersOf = (batch: Batch, name: string): number[] => [...batch.inputs[name]!];

it("shares make up the whole, in order", () => {
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 5 }), (examples, size) => {
      const whole = pack(
        examples,
        examples.map((_, i) => `${i}`),
      );
      const shares = Array.from({ length: size }, (_, rank) => shareOf([whole], rank, size)).flat();
      const joined = (name: string): number[] => shares.flatMap((share) => numbersOf(share, name));
      for (const name of ["tokens", "positions", "targets", "lossWeights"]) expect(joined(name)).toEqual(numbersOf(whole, name));
      expect(shares.flatMap((share) => share.examples)).toEqual(whole.examples);
      for (const { inputs, symbols } of shares) {
        const { tokens, rowOffsets, outputRows, targets } = inputs as Record<string, Int32Array>;
        expect([symbols.T, symbols.S, symbols.R]).toEqual([tokens!.length, rowOffsets!.length - 1, outputRows!.length]);
        expect([rowOffsets![0], rowOffsets!.at(-1)]).toEqual([0, symbols.T]);
        outputRows!.forEach((row, i) => expect(tokens![row + 1]).toBe(targets![i]));
      }
    }),
  );
});

it("equal sequences are shared equally", () => {
  const whole = pack(
    Array.from({ length: 8 }, () => [1, 2, 3]),
    ["a"],
  );
  for (const rank of [0, 1, 2, 3]) expect(shareOf([whole], rank, 4)[0]!.symbols).toEqual({ T: 6, S: 2, C: 0, R: 4 });
});

it("as many batches as ranks, or twice as many, are not cut", () => {
  const batches = [1, 2, 3, 4].map((n) => pack([[n, 2, 3]], ["a"], 0.25));
  expect(shareOf(batches, 1, 2)).toEqual([batches[1], batches[3]]);
});

it("virtual rows go with their sequence", () => {
  const whole = pack(
    [
      [1, 2],
      [3, 4, 5],
    ],
    ["a", "b"],
  );
  const batch: Batch = { ...whole, inputs: { ...whole.inputs, virtual: Int32Array.of(0, -1, 0, -1, -1) } };
  expect(numbersOf(shareOf([batch], 1, 2)[0]!, "virtual")).toEqual([0, -1, -1]);
});

it("does not cut what it does not know", () => {
  const whole = pack(
    [
      [1, 2],
      [3, 4],
    ],
    ["a", "b"],
  );
  const batch: Batch = { ...whole, inputs: { ...whole.inputs, pairs: Int32Array.of(0, 1) } };
  expect(() => shareOf([batch], 0, 2)).toThrow(/input "pairs" can't be shared between ranks/);
});

/** What the conformance suite cannot see of noise: its distribution, and that places and streams are independent. */
import { expect, it } from "vitest";
import { errorFunction } from "./erf.ts";
import { noise } from "./noise.ts";

const count = 20_001;

function draw(kind: "normal" | "uniform", { seed = [1, 2], stream = 0, length = count } = {}): Float64Array {
  const data = new Float64Array(length);
  noise.reference([{ shape: [2], data: Int32Array.from(seed) }], { shape: [length], data }, { shape: [length], kind, stream });
  return data;
}

const mean = (numbers: Float64Array): number => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

/** The largest distance between the share of numbers below x and the distribution's (Kolmogorov and Smirnov). */
function distance(numbers: Float64Array, distribution: (x: number) => number): number {
  const sorted = numbers.toSorted();
  return Math.max(...sorted.map((x, i) => Math.max(Math.abs(distribution(x) - i / count), Math.abs(distribution(x) - (i + 1) / count))));
}

/** 1.95 / √n is passed once in a thousand. */
const limit = 1.95 / Math.sqrt(count);

it("is normal, and uniform", () => {
  const normal = draw("normal");
  expect(distance(normal, (x) => 0.5 * (1 + errorFunction(x * Math.SQRT1_2)))).toBeLessThan(limit);
  expect(Math.abs(mean(normal))).toBeLessThan(3.3 / Math.sqrt(count));
  expect(mean(normal.map((x) => x * x))).toBeCloseTo(1, 1);
  expect(mean(normal.map((x) => x ** 4))).toBeCloseTo(3, 0);
  const uniform = draw("uniform");
  expect(distance(uniform, (x) => x)).toBeLessThan(limit);
  expect(uniform.every((x) => x >= 0 && x < 1 && Math.fround(x) === x)).toBe(true);
});

it("is the same for the same seed, and of any length the beginning of the longer", () => {
  expect(draw("normal")).toEqual(draw("normal"));
  expect(draw("normal", { length: 7 })).toEqual(draw("normal").subarray(0, 7));
});

it("is another for another word of the seed and for another stream, without correlation", () => {
  const first = draw("normal");
  for (const other of [draw("normal", { seed: [2, 2] }), draw("normal", { seed: [1, 3] }), draw("normal", { stream: 1 })])
    expect(Math.abs(mean(first.map((x, i) => x * other[i]!)))).toBeLessThan(3.3 / Math.sqrt(count));
  for (const shift of [1, 2, 3, 4])
    expect(Math.abs(mean(first.subarray(shift).map((x, i) => x * first[i]!)))).toBeLessThan(3.5 / Math.sqrt(count));
});

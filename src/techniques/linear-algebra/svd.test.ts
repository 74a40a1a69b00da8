import { expect, test } from "vitest";
import fc from "fast-check";
import { uniform } from "../../tensor/random.ts";
import { type Svd, truncatedSvd } from "./svd.ts";

const noise = (seed: number, count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => 2 * uniform(seed, i) - 1);

function product({ left, values, right }: Svd, rows: number, columns: number): Float64Array {
  const rank = values.length;
  const result = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < rank; k++)
      for (let j = 0; j < columns; j++) result[i * columns + j]! += left[i * rank + k]! * values[k]! * right[k * columns + j]!;
  return result;
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number => Math.hypot(...Array.from(a, (x, i) => x - b[i]!));

/** The largest difference of vᵢ·vⱼ from 1 where i = j and 0 elsewhere, of `count` vectors. */
function skew(vectors: Float64Array, count: number, at: (vector: number, i: number) => number): number {
  const length = vectors.length / count;
  let worst = 0;
  for (let p = 0; p < count; p++)
    for (let q = 0; q < count; q++) {
      let sum = 0;
      for (let i = 0; i < length; i++) sum += vectors[at(p, i)]! * vectors[at(q, i)]!;
      worst = Math.max(worst, Math.abs(sum - (p === q ? 1 : 0)));
    }
  return worst;
}

test("of a small matrix all is found: it is put together again, with orthonormal vectors and falling values", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), fc.nat(1000), (rows, columns, seed) => {
      const matrix = noise(seed, rows * columns);
      const rank = Math.min(rows, columns);
      const svd = truncatedSvd(matrix, rows, columns, rank);
      expect(distance(product(svd, rows, columns), matrix)).toBeLessThan(1e-12 * rows * columns);
      expect(skew(svd.left, rank, (v, i) => i * rank + v)).toBeLessThan(1e-10);
      expect(skew(svd.right, rank, (v, i) => v * columns + i)).toBeLessThan(1e-10);
      expect([...svd.values]).toEqual([...svd.values].sort((a, b) => b - a));
    }),
    { numRuns: 40 },
  );
});

test("known values: a scaled permutation, and a matrix of rank one", () => {
  const svd = truncatedSvd(Float32Array.of(0, -2, 0, 0, 0, 5, 1, 0, 0), 3, 3, 2);
  expect([...svd.values]).toEqual([5, 2]);
  const one = truncatedSvd(Float32Array.of(3, 4, 6, 8, 0, 0), 3, 2, 2);
  expect(one.values[0]).toBeCloseTo(Math.sqrt(125), 12);
  expect(one.values[1]).toBeCloseTo(0, 12);
  expect([...truncatedSvd(new Float32Array(6), 2, 3, 1).values]).toEqual([0]);
});

test.each([
  [150, 260],
  [260, 150],
])("of a large matrix [%i, %i] the largest values are found", (rows, columns) => {
  // Values fall by half from vector to vector, over noise.
  const [left, right] = [noise(1, rows * 6), noise(2, 6 * columns)];
  const matrix = Float32Array.from(noise(3, rows * columns), (x) => 0.01 * x);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < 6; k++)
      for (let j = 0; j < columns; j++) matrix[i * columns + j]! += left[i * 6 + k]! * 0.5 ** k * right[k * columns + j]!;
  const svd = truncatedSvd(matrix, rows, columns, 6);
  const rest = distance(product(svd, rows, columns), matrix);
  // No approximation of this rank is better than the noise, whose norm is 0.01·√(rows·columns / 3).
  expect(rest).toBeLessThan(0.01 * Math.sqrt((rows * columns) / 3));
  const squares = matrix.reduce((sum, x) => sum + x * x, 0);
  expect(svd.values.reduce((sum, x) => sum + x * x, 0) + rest ** 2).toBeCloseTo(squares, 3);
  expect(skew(svd.left, 6, (v, i) => i * 6 + v)).toBeLessThan(1e-9);
});

test("a large matrix of lower rank than asked for gives zeros", () => {
  const [left, right] = [noise(1, 120), noise(2, 130)];
  const matrix = Float32Array.from({ length: 120 * 130 }, (_, i) => left[Math.floor(i / 130)]! * right[i % 130]!);
  const svd = truncatedSvd(matrix, 120, 130, 3);
  expect(svd.values[1]! / svd.values[0]!).toBeLessThan(1e-6);
  expect(distance(product(svd, 120, 130), matrix)).toBeLessThan(1e-4);
});

test.each([0, 4, 1.5, NaN])("a rank of %d that the matrix has not is an error", (rank) => {
  expect(() => truncatedSvd(new Float32Array(12), 3, 4, rank)).toThrow(expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT" }));
});

/**
 * PowerSGD (Vogels, Karimireddy, Jaggi 2019, arXiv 1905.13727): the gradient of a matrix travels as two thin factors, found by one step of
 * power iteration that begins where the last one ended.
 *
 * M = G + what is owed; P = Σ M Q; P̂ = orthonormal columns of P; Q ← Σ Mᵀ P̂; the sum is P̂ Qᵀ; owed: M − P̂ Qᵀ / ranks.
 * Sent: 2 (P − 1) / P of 4 r (n + m) bytes a matrix of n × m. Vectors, and matrices that factors would not make smaller, travel whole.
 */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import { uniform } from "../../tensor/random.ts";
import { size } from "../../tensor/shape.ts";
import type { GradientCompression } from "../../training/parallel/compression.ts";
import { unsent } from "./unsent.ts";

export interface PowerSgdOptions {
  /** Columns of the factors, from 1; 4 where absent. */
  readonly rank?: number | undefined;
  /** Of the factors' first numbers; 0 where absent. The same on all ranks. */
  readonly seed?: number | undefined;
  /** Whether what was not sent is kept; true where absent. */
  readonly feedback?: boolean | undefined;
}

export function powerSgd(options: PowerSgdOptions = {}): GradientCompression {
  const { rank = 4, seed = 0, feedback = true } = options;
  checkOptions("PowerSGD", options, ["rank", "seed", "feedback"]);
  if (!Number.isInteger(rank) || rank < 1)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `PowerSGD: rank must be a whole number from 1, got ${rank}`, { rank });
  return {
    name: "power-sgd",
    paper: {
      title: "PowerSGD: Practical Low-Rank Gradient Compression for Distributed Optimization",
      authors: "Thijs Vogels, Sai Praneeth Karimireddy, Martin Jaggi",
      year: 2019,
      url: "https://arxiv.org/abs/1905.13727",
    },
    survey: "5.1 distributed training",
    changes: "schedule",
    start(collective) {
      const owed = unsent(feedback);
      const factors = new Map<string, Float32Array>();
      return {
        async sum(name, shape, gradient) {
          const rows = shape[0] ?? 1;
          const columns = size(shape) / rows;
          if (rank * (rows + columns) >= rows * columns) return collective.allReduce(gradient);
          const matrix = owed.of(name, gradient.length);
          gradient.forEach((g, i) => (matrix[i]! += g));
          const right = factors.get(name) ?? firstFactor(columns, rank, seed, name);
          factors.set(name, right);
          const left = new Float32Array(rows * rank);
          for (let i = 0; i < rows; i++)
            for (let j = 0; j < columns; j++)
              for (let k = 0; k < rank; k++) left[i * rank + k]! += matrix[i * columns + j]! * right[j * rank + k]!;
          await collective.allReduce(left);
          orthonormalize(left, rows, rank);
          right.fill(0);
          for (let i = 0; i < rows; i++)
            for (let j = 0; j < columns; j++)
              for (let k = 0; k < rank; k++) right[j * rank + k]! += matrix[i * columns + j]! * left[i * rank + k]!;
          await collective.allReduce(right);
          for (let i = 0; i < rows; i++)
            for (let j = 0; j < columns; j++) {
              let sum = 0;
              for (let k = 0; k < rank; k++) sum += left[i * rank + k]! * right[j * rank + k]!;
              gradient[i * columns + j] = sum;
              matrix[i * columns + j]! -= sum / collective.size;
            }
        },
      };
    },
  };
}

/** Uniform numbers around 0, a function of seed and name. */
function firstFactor(columns: number, rank: number, seed: number, name: string): Float32Array {
  let key = seed;
  for (const character of name) key = (Math.imul(key ^ character.codePointAt(0)!, 0x01000193) + 0x9e3779b9) >>> 0;
  return Float32Array.from({ length: columns * rank }, (_, i) => uniform(key, i) - 0.5);
}

/** Gram and Schmidt's, column by column; a column that the others span becomes zero. */
function orthonormalize(matrix: Float32Array, rows: number, columns: number): void {
  const dot = (a: number, b: number): number => {
    let sum = 0;
    for (let i = 0; i < rows; i++) sum += matrix[i * columns + a]! * matrix[i * columns + b]!;
    return sum;
  };
  for (let k = 0; k < columns; k++) {
    const before = Math.sqrt(dot(k, k));
    // Twice, because once leaves what rounding brought back.
    for (let pass = 0; pass < 2; pass++)
      for (let other = 0; other < k; other++) {
        const along = dot(k, other);
        for (let i = 0; i < rows; i++) matrix[i * columns + k]! -= along * matrix[i * columns + other]!;
      }
    const norm = Math.sqrt(dot(k, k));
    const factor = norm > 1e-6 * before ? 1 / norm : 0;
    for (let i = 0; i < rows; i++) matrix[i * columns + k]! *= factor;
  }
}

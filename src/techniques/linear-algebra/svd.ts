/**
 * The largest singular values of a matrix with their vectors. Small matrices: one-sided Jacobi rotations, exact (Hestenes 1958). Large ones:
 * subspace iteration from random vectors (Halko, Martinsson and Tropp 2011, arXiv 0909.4061, algorithms 4.4 and 5.1), then Jacobi.
 */
import { FrugalError } from "../../tensor/error.ts";
import { philox } from "../../tensor/random.ts";

/** left · diag(values) · right ≈ the matrix; values fall, and vectors of a value 0 may be zero. */
export interface Svd {
  /** [rows, rank] */
  readonly left: Float64Array;
  /** [rank] */
  readonly values: Float64Array;
  /** [rank, columns] */
  readonly right: Float64Array;
}

/** Up to so many rows or columns all singular values are found. */
const smallSide = 96;
/** Vectors more than are asked for: they make the wanted ones settle sooner. */
const oversampling = 8;
const mostIterations = 8;
/** Iterating ends when the captured squares grow by less than this part. */
const settled = 1e-4;

/** Of a matrix [rows, columns], row after row. Throws FRUGAL_BAD_ARGUMENT where it has not that many singular values. */
export function truncatedSvd(matrix: Float32Array, rows: number, columns: number, rank: number): Svd {
  const side = Math.min(rows, columns);
  if (!(Number.isInteger(rank) && rank >= 1 && rank <= side))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `svd: rank ${rank} of a matrix [${rows}, ${columns}]; give 1 to ${side}`, { rank });
  if (rows > columns) {
    const { left, values, right } = wideSvd(transposed(matrix, rows, columns), columns, rows, rank);
    return { left: transposed(right, rank, rows), values, right: transposed(left, columns, rank) };
  }
  return wideSvd(Float64Array.from(matrix), rows, columns, rank);
}

/** rows ≤ columns; `matrix` may be overwritten. */
function wideSvd(matrix: Float64Array, rows: number, columns: number, rank: number): Svd {
  const count = rank + oversampling;
  if (rows <= Math.max(smallSide, count)) return ofRows(matrix, rows, columns, rank);
  const basis = capturing(matrix, rows, columns, count);
  const small = ofRows(timesMatrix(basis, matrix, count, rows, columns), count, columns, rank);
  const left = new Float64Array(rows * rank);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < rank; j++) for (let k = 0; k < count; k++) left[i * rank + j]! += basis[k * rows + i]! * small.left[k * rank + j]!;
  return { ...small, left };
}

/** `count` orthonormal vectors [count, rows] that span nearly all that the matrix's first columns' directions do. */
function capturing(matrix: Float64Array, rows: number, columns: number, count: number): Float64Array {
  let basis: Float64Array = new Float64Array(count * rows);
  for (let i = 0; i < basis.length; i += 2) {
    const [a, b] = philox([i, 0, 0, 0], [0x5eed, 0]);
    const radius = Math.sqrt(-2 * Math.log((a + 0.5) / 2 ** 32));
    basis[i] = radius * Math.cos((2 * Math.PI * b) / 2 ** 32);
    if (i + 1 < basis.length) basis[i + 1] = radius * Math.sin((2 * Math.PI * b) / 2 ** 32);
  }
  orthonormalise(basis, count, rows);
  let before = 0;
  for (let iteration = 0; iteration < mostIterations; iteration++) {
    const seen = timesMatrix(basis, matrix, count, rows, columns);
    const squares = seen.reduce((sum, x) => sum + x * x, 0);
    if (squares - before <= settled * squares) break;
    before = squares;
    orthonormalise(seen, count, columns);
    basis = timesTransposed(seen, matrix, count, rows, columns);
    orthonormalise(basis, count, rows);
  }
  return basis;
}

/** Vectors [count, rows] times the matrix [rows, columns]. */
function timesMatrix(vectors: Float64Array, matrix: Float64Array, count: number, rows: number, columns: number): Float64Array {
  const product = new Float64Array(count * columns);
  for (let i = 0; i < rows; i++) {
    const row = matrix.subarray(i * columns, (i + 1) * columns);
    for (let k = 0; k < count; k++) {
      const factor = vectors[k * rows + i]!;
      for (let j = 0, at = k * columns; j < columns; j++, at++) product[at]! += factor * row[j]!;
    }
  }
  return product;
}

/** Vectors [count, columns] times the transposed matrix: [count, rows]. */
function timesTransposed(vectors: Float64Array, matrix: Float64Array, count: number, rows: number, columns: number): Float64Array {
  const product = new Float64Array(count * rows);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < count; k++) product[k * rows + i] = dot(matrix, i * columns, vectors, k * columns, columns);
  return product;
}

function dot(a: Float64Array, atA: number, b: Float64Array, atB: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[atA + i]! * b[atB + i]!;
  return sum;
}

/** Gram and Schmidt, twice each; what depends on earlier vectors becomes zero. */
function orthonormalise(vectors: Float64Array, count: number, length: number): void {
  for (let k = 0; k < count; k++) {
    const at = k * length;
    const whole = Math.sqrt(dot(vectors, at, vectors, at, length));
    for (let pass = 0; pass < 2; pass++)
      for (let other = 0; other < k; other++) {
        const along = dot(vectors, at, vectors, other * length, length);
        for (let i = 0; i < length; i++) vectors[at + i]! -= along * vectors[other * length + i]!;
      }
    const norm = Math.sqrt(dot(vectors, at, vectors, at, length));
    const factor = norm > 1e-12 * whole && norm > 0 ? 1 / norm : 0;
    for (let i = 0; i < length; i++) vectors[at + i]! *= factor;
  }
}

/** All pairs of rows are turned until they are orthogonal: their norms are the singular values, and the turns the left vectors. */
function ofRows(matrix: Float64Array, rows: number, columns: number, rank: number): Svd {
  const turns = new Float64Array(rows * rows);
  for (let i = 0; i < rows; i++) turns[i * rows + i] = 1;
  for (let sweep = 0, turned = true; turned && sweep < 60; sweep++) {
    turned = false;
    for (let p = 0; p < rows - 1; p++)
      for (let q = p + 1; q < rows; q++) {
        const [pp, qq] = [dot(matrix, p * columns, matrix, p * columns, columns), dot(matrix, q * columns, matrix, q * columns, columns)];
        const pq = dot(matrix, p * columns, matrix, q * columns, columns);
        if (Math.abs(pq) <= 1e-14 * Math.sqrt(pp * qq) || pq === 0) continue;
        turned = true;
        const zeta = (qq - pp) / (2 * pq);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const cosine = 1 / Math.hypot(1, tangent);
        turn(matrix, p * columns, q * columns, columns, cosine, cosine * tangent);
        turn(turns, p * rows, q * rows, rows, cosine, cosine * tangent);
      }
  }
  const norms = Array.from({ length: rows }, (_, i) => Math.sqrt(dot(matrix, i * columns, matrix, i * columns, columns)));
  const order = [...norms.keys()].sort((a, b) => norms[b]! - norms[a]!).slice(0, rank);
  const svd = {
    left: new Float64Array(rows * rank),
    values: Float64Array.from(order, (i) => norms[i]!),
    right: new Float64Array(rank * columns),
  };
  order.forEach((from, j) => {
    const inverse = norms[from] === 0 ? 0 : 1 / norms[from]!;
    for (let i = 0; i < columns; i++) svd.right[j * columns + i] = matrix[from * columns + i]! * inverse;
    for (let i = 0; i < rows; i++) svd.left[i * rank + j] = turns[from * rows + i]!;
  });
  return svd;
}

function turn(vectors: Float64Array, p: number, q: number, length: number, cosine: number, sine: number): void {
  for (let i = 0; i < length; i++) {
    const [a, b] = [vectors[p + i]!, vectors[q + i]!];
    vectors[p + i] = cosine * a - sine * b;
    vectors[q + i] = sine * a + cosine * b;
  }
}

function transposed(matrix: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const turned = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned[j * rows + i] = matrix[i * columns + j]!;
  return turned;
}

import { expect, test } from "vitest";
import { principal } from "./principal.ts";

const low = { name: "w", outputs: 3, inputs: 4, rank: 2, scale: 0.5 };
const matrix = Float32Array.from({ length: 12 }, (_, i) => Math.sin(1 + i * 1.9));

function product(A: Float32Array, B: Float32Array, rank: number): number[] {
  return Array.from({ length: 12 }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += B[Math.floor(at / 4) * rank + k]! * A[k * 4 + (at % 4)]!;
    return sum;
  });
}

test("scale · B A is the matrix where the rank is whole, and A and B share the values evenly", () => {
  const { A, B } = principal(matrix, { ...low, rank: 3 });
  product(A, B, 3).forEach((x, i) => expect(0.5 * x).toBeCloseTo(matrix[i]!, 5));
  expect(Math.hypot(...A.subarray(0, 4))).toBeCloseTo(Math.hypot(B[0]!, B[3]!, B[6]!), 5);
});

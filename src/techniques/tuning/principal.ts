/** The product of a given rank nearest to a matrix, as LoRA's A and B: what PiSSA and LoftQ begin with. */
import { truncatedSvd } from "../linear-algebra/svd.ts";
import type { LowRank } from "./low-rank.ts";

export interface Factors {
  readonly A: Float32Array;
  readonly B: Float32Array;
}

/** A and B of the rank with scale · B A nearest to the matrix [outputs, inputs]; the singular values are shared evenly between them. */
export function principal(matrix: Float32Array, { outputs, inputs, rank, scale }: LowRank): Factors {
  const { left, values, right } = truncatedSvd(matrix, outputs, inputs, rank);
  const shares = values.map((value) => Math.sqrt(value / scale));
  return {
    A: Float32Array.from(right, (x, i) => x * shares[Math.floor(i / inputs)]!),
    B: Float32Array.from(left, (x, i) => x * shares[i % rank]!),
  };
}

/** Gradients travel in buckets: many small ones together, in the order in which they become known (Li et al. 2020, arXiv 2006.15704). */
import { size } from "../../tensor/shape.ts";

export interface Bucket {
  readonly names: readonly string[];
  /** Where each begins, and where the last one ends; in numbers. */
  readonly offsets: readonly number[];
  /** Where the bucket begins among all numbers. */
  readonly start: number;
}

/** Consecutive parameters, at most `bytes` together or one alone. */
export function bucketsOf(parameters: readonly string[], shapes: ReadonlyMap<string, readonly number[]>, bytes: number): Bucket[] {
  const buckets: { names: string[]; offsets: number[]; start: number }[] = [];
  let start = 0;
  for (const name of parameters) {
    const length = size(shapes.get(name)!);
    const last = buckets.at(-1);
    if (last === undefined || 4 * (last.offsets.at(-1)! + length) > bytes) buckets.push({ names: [name], offsets: [0, length], start });
    else {
      last.names.push(name);
      last.offsets.push(last.offsets.at(-1)! + length);
    }
    start += length;
  }
  return buckets;
}

export const lengthOf = ({ offsets }: Bucket): number => offsets.at(-1)!;

/** The part of a bucket's numbers that belongs to its i-th parameter. */
export const within = (numbers: Float32Array, { offsets }: Bucket, i: number): Float32Array => numbers.subarray(offsets[i], offsets[i + 1]);

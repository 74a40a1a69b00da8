/** What is said of a list of samples. */

export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Of at least one value. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("median: there are no values");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export const summarize = (values: readonly number[]): Summary => ({
  median: median(values),
  least: Math.min(...values),
  most: Math.max(...values),
});

/** `ours / theirs` of each round: what disturbed the machine in a round disturbed both. Lists of different lengths are cut to the shorter. */
export const pairwiseRatios = (ours: readonly number[], theirs: readonly number[]): number[] =>
  ours.slice(0, theirs.length).map((value, i) => value / theirs[i]!);

/** Slopes of attention with linear biases (ALiBi, arXiv 2108.12409): scores fall with distance, each head at its own rate. */

/** One slope a head; where the number of heads is no power of two, the rest come from the odd steps of the next power. */
export function alibiSlopes(heads: number): readonly number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  return Array.from({ length: heads }, (_, h) => (h < power ? 2 ** ((-8 * (h + 1)) / power) : 2 ** ((-4 * (2 * (h - power) + 1)) / power)));
}

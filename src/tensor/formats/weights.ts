/** How much an error in each value counts while encoding. Large weights matter more than small ones, as ggml's authors found, but not by their square. */

/** Fills `weights` with |x| + the root mean square of all; 1 where all are zero. */
export function errorWeights(values: Float32Array, first: number, weights: Float64Array): void {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += values[first + i]! ** 2;
  const level = sum > 0 ? Math.sqrt(sum / weights.length) : 1;
  for (let i = 0; i < weights.length; i++) weights[i] = 1 + Math.abs(values[first + i]!) / level;
}

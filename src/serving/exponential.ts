/** exp(-y) for y in [0, 32) from a table and a short series: a fraction of the time of Math.exp, relative error below 1e-8. */

/** Steps of the table in one unit of y; a step is also a bucket of the sampler's histogram. */
export const stepsPerUnit = 64;
/** From here on exp(-y) counts as nothing: 262,144 of them weigh less than 1e-8 of the largest. */
export const negligible = 32;
export const steps: number = stepsPerUnit * negligible;

/** exp(-step / stepsPerUnit) */
export const stepValues: Float64Array = Float64Array.from({ length: steps }, (_, step) => Math.exp(-step / stepsPerUnit));

/** exp(-r) for r in [0, 1 / stepsPerUnit). */
export const withinStep = (r: number): number => 1 - r * (1 - r * (1 / 2 - r * (1 / 6)));

/** Sums of exp(-y) by step, y = (largest - value) * scale. */
export function massesByStep(values: Float32Array, largest: number, scale: number): Float64Array {
  const masses = new Float64Array(steps);
  const factor = scale * stepsPerUnit;
  const top = largest * factor;
  for (let i = 0; i < values.length; i++) {
    const position = top - values[i]! * factor;
    if (position < steps) {
      const step = position | 0;
      masses[step]! += withinStep((position - step) * (1 / stepsPerUnit));
    }
  }
  for (let step = 0; step < steps; step++) masses[step]! *= stepValues[step]!;
  return masses;
}

/** ln of the sum of exp over values that are finite or -Infinity. */
export function logSumExp(values: Float32Array): number {
  const largest = largestOf(values);
  return largest + Math.log(massesByStep(values, largest, 1).reduce((sum, mass) => sum + mass, 0));
}

/** The largest value; -Infinity where there is none. Four at a time, because one chain of comparisons waits on itself. */
export function largestOf(values: Float32Array): number {
  let [a, b, c, d] = [-Infinity, -Infinity, -Infinity, -Infinity];
  const whole = values.length - (values.length % 4);
  for (let i = 0; i < whole; i += 4) {
    if (values[i]! > a) a = values[i]!;
    if (values[i + 1]! > b) b = values[i + 1]!;
    if (values[i + 2]! > c) c = values[i + 2]!;
    if (values[i + 3]! > d) d = values[i + 3]!;
  }
  for (let i = whole; i < values.length; i++) if (values[i]! > a) a = values[i]!;
  return Math.max(a, b, c, d);
}

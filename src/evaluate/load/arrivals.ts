/** When requests are sent: gamma-distributed gaps, as vLLM's `bench serve` draws them. */
import { uniform } from "../../tensor/random.ts";

export interface Arrivals {
  readonly count: number;
  /** Requests per second. */
  readonly rate: number;
  /** Shape of the gamma distribution: 1 is a Poisson process, less is burstier, more is more even. */
  readonly burstiness: number;
  readonly seed: number;
}

/**
 * Milliseconds after the start at which each request is sent, ascending. Gaps are scaled so that the last request comes at count / rate: a
 * seed then changes the order of gaps, not the load.
 * @example arrivalTimes({ count: 3, rate: 10, burstiness: 1, seed: 0 }).at(-1) === 300;
 */
export function arrivalTimes({ count, rate, burstiness, seed }: Arrivals): number[] {
  let position = 0;
  const next = (): number => uniform(seed, position++);
  let sum = 0;
  const times = Array.from({ length: count }, () => (sum += gamma(burstiness, next)));
  const last = times.at(-1) ?? 0;
  // Very small shapes can underflow to gaps of nothing at all: then all come at once, at the end of the span.
  return times.map((time) => (last > 0 ? time / last : 1) * (count / rate) * 1000);
}

/** Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; shapes below 1 by their section 6. */
function gamma(shape: number, next: () => number): number {
  if (shape < 1) return gamma(shape + 1, next) * (1 - next()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(next);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - next()) < 0.5 * x * x + d * (1 - v + Math.log(v))) return d * v;
  }
}

/** Box and Muller; the second of each pair is not used. */
const normal = (next: () => number): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());

/** A length from a lognormal distribution with this mean, as lengths of real conversations are; `spread` is the deviation of its logarithm. */
export function lognormal(mean: number, spread: number, seed: number, position: number): number {
  let i = 2 * position;
  return mean * Math.exp(spread * normal(() => uniform(seed, i++)) - (spread * spread) / 2);
}

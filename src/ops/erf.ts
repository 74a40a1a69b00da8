/** erf — y = 2/√π ∫₀ˣ exp(−t²) dt, the integral of the normal distribution in the exact GELU. */
import type { Op } from "./op.ts";
import { unary } from "./unary.ts";

export const erf: Op<1, {}> = unary({
  name: "erf",
  formula: errorFunction,
  gradient: ({ b, x, dy }) => b.scale(b.mul(dy, b.exp(b.scale(b.mul(x, x), { by: -1 }))), { by: 2 / Math.sqrt(Math.PI) }),
  flops: 20,
});

/** To about 1e-15: the Maclaurin series near 0, the continued fraction of the complement beyond. */
export function errorFunction(x: number): number {
  const size = Math.abs(x);
  if (!(size < 6)) return Number.isNaN(x) ? x : Math.sign(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 80; n >= 1; n--) fraction = n / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * (size + fraction)));
}

/** What the two Adams share: the moments' update and the step that they give. */
import type { Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import type { ParameterStep } from "../update-rule.ts";
import type { OptionRule } from "./options.ts";
import { averaged, decayed, onceAStep, oneMinusPower, scaled } from "./scalars.ts";

export interface AdamWOptions {
  /** How much of the first and of the second moment each step keeps; 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment; 1e-8. */
  readonly epsilon?: number;
  /** What a step takes from the parameter beside: rate · weightDecay of it. PyTorch's default, 0.01. */
  readonly weightDecay?: number;
}

export const adamRanges: { readonly [Name in keyof AdamWOptions]-?: OptionRule } = {
  betas: { count: 2, from: 0, below: 1 },
  epsilon: { above: 0 },
  weightDecay: { from: 0 },
};

export interface Moments {
  readonly first: Value;
  readonly second: Value;
}

/**
 * m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← (1 − rate · decay) w − rate · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε).
 */
export function adamStep({
  betas = [0.9, 0.999],
  epsilon = 1e-8,
  weightDecay = 0.01,
}: AdamWOptions): (of: ParameterStep, before: Moments) => Moments & { readonly parameter: Value } {
  const inverse = (b: Builder, x: Value): Value => b.div(b.scale(x, { by: 0, plus: 1 }), x);
  const firstCorrection = onceAStep((b, count) => inverse(b, oneMinusPower(b, betas[0], count)));
  const secondCorrection = onceAStep((b, count) => inverse(b, b.sqrt(oneMinusPower(b, betas[1], count))));
  return ({ b, parameter, gradient, rate, count }, before) => {
    const first = averaged(b, before.first, gradient, betas[0]);
    const second = averaged(b, before.second, b.mul(gradient, gradient), betas[1]);
    const root = b.scale(scaled(b, secondCorrection(b, count), b.sqrt(second)), { by: 1, plus: epsilon });
    const step = scaled(b, b.mul(rate, firstCorrection(b, count)), b.div(first, root));
    return { parameter: b.sub(decayed(b, parameter, rate, weightDecay), step), first, second };
  };
}

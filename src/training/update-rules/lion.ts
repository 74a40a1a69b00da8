/**
 * Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", arXiv 2302.06675):
 * w ← (1 − rate · decay) w − rate · sign(β₁m + (1 − β₁)g), m ← β₂m + (1 − β₂)g.
 */
import type { Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import { number } from "../../ops/spread.ts";
import type { UpdateRule } from "../update-rule.ts";
import { checkRuleOptions } from "./options.ts";
import { averaged, decayed, scaled, shapeOf } from "./scalars.ts";

export interface LionOptions {
  /** How much of the momentum the step takes, and how much of it is kept; 0.9 and 0.99. */
  readonly betas?: readonly [number, number];
  readonly weightDecay?: number;
}

export function lion(options: LionOptions = {}): UpdateRule {
  checkRuleOptions("lion", options, { betas: { count: 2, from: 0, below: 1 }, weightDecay: { from: 0 } });
  const { betas = [0.9, 0.99], weightDecay = 0 } = options;
  return {
    name: "lion",
    elementwise: true,
    step({ b, parameter, gradient, rate, state }) {
      const before = state("momentum", shapeOf(parameter));
      const direction = sign(b, averaged(b, before, gradient, betas[0]));
      const momentum = averaged(b, before, gradient, betas[1]);
      return { parameter: b.sub(decayed(b, parameter, rate, weightDecay), scaled(b, rate, direction)), state: { momentum } };
    },
  };
}

/** −1, 0 or 1. */
function sign(b: Builder, x: Value): Value {
  const zero = number(b, 0, x.shape.length);
  return b.sub(b.less(b.scale(x, { by: -1 }), zero), b.less(x, zero));
}

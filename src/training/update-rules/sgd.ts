/**
 * SGD: stochastic gradient descent, with momentum v ← momentum · v + g, and Nesterov's g + momentum · v in place of v (Sutskever et al.
 * 2013). Weight decay is added to the gradient, as PyTorch has it: g + decay · w.
 */
import type { UpdateRule } from "../update-rule.ts";
import { checkRuleOptions } from "./options.ts";
import { scaled, shapeOf } from "./scalars.ts";

export interface SgdOptions {
  /** 0, the default, keeps no state. */
  readonly momentum?: number;
  /** Needs momentum. */
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
}

export function sgd(options: SgdOptions = {}): UpdateRule {
  checkRuleOptions("sgd", options, { momentum: { from: 0, below: 1 }, nesterov: "boolean", weightDecay: { from: 0 } });
  const { momentum = 0, nesterov = false, weightDecay = 0 } = options;
  if (nesterov && momentum === 0) checkRuleOptions("sgd with nesterov", { momentum }, { momentum: { above: 0, below: 1 } });
  return {
    name: "sgd",
    elementwise: true,
    step({ b, parameter, gradient, rate, state }) {
      const slope = weightDecay === 0 ? gradient : b.add(gradient, b.scale(parameter, { by: weightDecay }));
      if (momentum === 0) return { parameter: b.sub(parameter, scaled(b, rate, slope)), state: {} };
      const velocity = b.add(b.scale(state("velocity", shapeOf(parameter)), { by: momentum }), slope);
      const direction = nesterov ? b.add(slope, b.scale(velocity, { by: momentum })) : velocity;
      return { parameter: b.sub(parameter, scaled(b, rate, direction)), state: { velocity } };
    },
  };
}

/** AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101); equal to PyTorch's. */
import type { UpdateRule } from "../update-rule.ts";
import { adamRanges, adamStep, type AdamWOptions } from "./adam-moments.ts";
import { checkRuleOptions } from "./options.ts";
import { shapeOf } from "./scalars.ts";

export function adamw(options: AdamWOptions = {}): UpdateRule {
  checkRuleOptions("adamw", options, adamRanges);
  const next = adamStep(options);
  return {
    name: "adamw",
    elementwise: true,
    step(of) {
      const shape = shapeOf(of.parameter);
      const { parameter, first, second } = next(of, { first: of.state("first", shape), second: of.state("second", shape) });
      return { parameter, state: { first, second } };
    },
  };
}

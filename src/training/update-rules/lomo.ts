/**
 * LOMO (Lv et al. 2023, "Full Parameter Fine-tuning for Large Language Models with Limited Resources", arXiv 2306.09782): plain descent
 * done as soon as a gradient is known, so that neither state nor gradients are kept. Clipping by the global norm needs all gradients first
 * and takes that back; `clipValue` limits each number instead.
 */
import type { Value } from "../../graph/value.ts";
import type { Builder } from "../../ops/op.ts";
import { number } from "../../ops/spread.ts";
import type { UpdateRule } from "../update-rule.ts";
import { checkRuleOptions } from "./options.ts";
import { decayed, scaled } from "./scalars.ts";

export interface LomoOptions {
  /** The largest magnitude of a number of a gradient; no limit where absent. */
  readonly clipValue?: number;
  /** Decoupled: rate · weightDecay of the parameter; 0. */
  readonly weightDecay?: number;
}

export function lomo(options: LomoOptions = {}): UpdateRule {
  checkRuleOptions("lomo", options, { clipValue: { above: 0 }, weightDecay: { from: 0 } });
  const { clipValue, weightDecay = 0 } = options;
  return {
    name: "lomo",
    fusesIntoBackward: true,
    elementwise: true,
    step({ b, parameter, gradient, rate }) {
      const limited = clipValue === undefined ? gradient : clamped(b, gradient, clipValue);
      return { parameter: b.sub(decayed(b, parameter, rate, weightDecay), scaled(b, rate, limited)), state: {} };
    },
  };
}

/** Each number limited to ± limit. */
export function clamped(b: Builder, x: Value, limit: number): Value {
  const least = number(b, -limit, x.shape.length);
  return b.scale(b.maximum(b.scale(b.maximum(x, least), { by: -1 }), least), { by: -1 });
}

/**
 * AdaLomo (Lv et al. 2023, "AdaLomo: Low-memory Optimization with Adaptive Learning Rate", arXiv 2310.10195): the update is fused into the
 * way back as in LOMO, over Adafactor's factored second moment, limited for each parameter alone and scaled with the parameter.
 */
import type { UpdateRule } from "../update-rule.ts";
import { adafactorRanges, adafactorStep, type AdafactorOptions } from "./adafactor.ts";
import { clamped } from "./lomo.ts";
import { checkRuleOptions } from "./options.ts";

export interface AdaLomoOptions extends Pick<AdafactorOptions, "epsilon" | "scaleEpsilon" | "clipThreshold" | "decayRate" | "weightDecay"> {
  /** The largest magnitude of a number of a gradient; no limit where absent. */
  readonly clipValue?: number;
}

export function adalomo(options: AdaLomoOptions = {}): UpdateRule {
  const { epsilon, scaleEpsilon, clipThreshold, decayRate, weightDecay } = adafactorRanges;
  checkRuleOptions("adalomo", options, { epsilon, scaleEpsilon, clipThreshold, decayRate, weightDecay, clipValue: { above: 0 } });
  const { clipValue, ...factors } = options;
  const step = adafactorStep({ ...factors, scaleParameter: true });
  return {
    name: "adalomo",
    fusesIntoBackward: true,
    step: (of) => step(clipValue === undefined ? of : { ...of, gradient: clamped(of.b, of.gradient, clipValue) }),
  };
}

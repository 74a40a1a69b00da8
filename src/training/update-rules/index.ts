/** The update rules by the names that recipes and the command line give them. Adding one is its file and its line here. */
import { FrugalError, nearest } from "../../tensor/error.ts";
import { checkMezoOptions, type MezoOptions, type MezoSettings, mezoStepper } from "../mezo.ts";
import type { Stepper } from "../stepper.ts";
import type { Trainable } from "../trainable.ts";
import type { UpdateRule } from "../update-rule.ts";
import { adafactor } from "./adafactor.ts";
import { adalomo } from "./adalomo.ts";
import { adamw8bit } from "./adamw-8bit.ts";
import { adamw } from "./adamw.ts";
import { lion } from "./lion.ts";
import { lomo } from "./lomo.ts";
import { sgd } from "./sgd.ts";

const rules: Readonly<Record<string, (options?: object) => UpdateRule>> = {
  adamw,
  "adamw-8bit": adamw8bit,
  sgd,
  lion,
  adafactor,
  lomo,
  adalomo,
};

/** What needs losses alone makes whole steps of its own. */
const forwardOnly: Readonly<Record<string, (options: object) => ForwardOptimizer["stepper"]>> = {
  mezo(options: MezoOptions) {
    checkMezoOptions(options);
    return (model, settings) => mezoStepper(model, options, settings);
  },
};

export const updateRuleNames: readonly string[] = Object.keys(rules);
/** Update rules, and what learns without gradients. */
export const optimizerNames: readonly string[] = [...updateRuleNames, ...Object.keys(forwardOnly)];

export interface ForwardOptimizer {
  readonly needs: "losses";
  /** Throws FRUGAL_BAD_ARGUMENT for a model without anything to train. */
  readonly stepper: (model: Trainable, settings: MezoSettings) => Stepper;
}
export type Optimizer = { readonly needs: "gradients"; readonly rule: UpdateRule } | ForwardOptimizer;

/** The optimizer of this name; throws FRUGAL_BAD_ARGUMENT where there is none, and for options it does not have or that are out of range. */
export function createOptimizer(name: string, options: object = {}): Optimizer {
  if (Object.hasOwn(forwardOnly, name)) return { needs: "losses", stepper: forwardOnly[name]!(options) };
  return { needs: "gradients", rule: createUpdateRule(name, options, optimizerNames) };
}

/** The update rule of this name; throws as `createOptimizer` does. `known` are the names that a message tells. */
export function createUpdateRule(name: string, options: object = {}, known: readonly string[] = updateRuleNames): UpdateRule {
  const make = Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (make !== undefined) return make(options);
  const near = nearest(name, known);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `optimizers: there is no "${name}"; ${near === undefined ? `there are ${known.join(", ")}` : `did you mean "${near}"?`}`,
    { optimizer: name, ...(near === undefined ? {} : { nearest: near }) },
  );
}

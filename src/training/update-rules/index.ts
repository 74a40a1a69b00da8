/** The update rules by the names that recipes and the command line give them. Adding one is its file and its line here. */
import { FrugalError, nearest } from "../../tensor/error.ts";
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

export const updateRuleNames: readonly string[] = Object.keys(rules);

/** The rule of this name; throws FRUGAL_BAD_ARGUMENT where there is none, and for options it does not have or that are out of range. */
export function createUpdateRule(name: string, options: object = {}): UpdateRule {
  const make = Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (make !== undefined) return make(options);
  const near = nearest(name, updateRuleNames);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `update rules: there is no "${name}"; ${near === undefined ? `there are ${updateRuleNames.join(", ")}` : `did you mean "${near}"?`}`,
    { rule: name, ...(near === undefined ? {} : { nearest: near }) },
  );
}

/** Checks the numbers that rules are made with: recipes come from people. */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";

interface Range {
  /** The least it may be. */
  readonly from?: number;
  /** What it must be more than. */
  readonly above?: number;
  /** What it must be less than. */
  readonly below?: number;
  /** For a list of so many numbers. */
  readonly count?: number;
}
export type OptionRule = Range | "boolean";

/** Throws FRUGAL_BAD_ARGUMENT for an option that is unknown, of the wrong kind, or out of range. */
export function checkRuleOptions<T extends object>(rule: string, given: T, known: { readonly [Name in keyof T]-?: OptionRule }): void {
  checkOptions(rule, given, Object.keys(known));
  for (const [name, value] of Object.entries(given)) {
    const wanted = known[name as keyof T];
    if (value === undefined || fits(value, wanted)) continue;
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${rule}: ${name} is ${typeof value === "number" ? value : JSON.stringify(value)}; give ${describe(wanted)}`,
      {
        option: name,
      },
    );
  }
}

function fits(value: unknown, rule: OptionRule): boolean {
  if (rule === "boolean") return typeof value === "boolean";
  const { count, from = -Infinity, above = -Infinity, below = Infinity } = rule;
  if (count !== undefined)
    return Array.isArray(value) && value.length === count && value.every((each) => fits(each, { from, above, below }));
  return typeof value === "number" && Number.isFinite(value) && value >= from && value > above && value < below;
}

function describe(rule: OptionRule): string {
  if (rule === "boolean") return "true or false";
  const bounds = [
    rule.from === undefined ? [] : [`at least ${rule.from}`],
    rule.above === undefined ? [] : [`above ${rule.above}`],
    rule.below === undefined ? [] : [`below ${rule.below}`],
  ].flat();
  return `${rule.count === undefined ? "a number" : `${rule.count} numbers`} ${bounds.join(" and ")}`.trim();
}

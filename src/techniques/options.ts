/** Options of techniques: they come from recipes and command lines too, so every key and value is checked. */
import { FrugalError, nearest } from "../tensor/error.ts";

/** What an option may be. */
export interface OptionRule {
  /** For messages: "a whole number of at least 1". */
  readonly is: string;
  fits(value: unknown): boolean;
}

export const wholeNumber = (least: number): OptionRule => ({
  is: `a whole number of at least ${least}`,
  fits: (value) => Number.isSafeInteger(value) && (value as number) >= least,
});
export const positive: OptionRule = { is: "a positive number", fits: (value) => Number.isFinite(value) && (value as number) > 0 };
export const notNegative: OptionRule = { is: "a number of at least 0", fits: (value) => Number.isFinite(value) && (value as number) >= 0 };
export const flag: OptionRule = { is: "true or false", fits: (value) => typeof value === "boolean" };
export const text: OptionRule = { is: "a text", fits: (value) => typeof value === "string" };
export const textOrTexts: OptionRule = {
  is: "a text or a list of texts",
  fits: (value) => typeof value === "string" || (Array.isArray(value) && value.every((each) => typeof each === "string")),
};
export const oneOf = (...values: readonly (string | number)[]): OptionRule => ({
  is: `one of ${values.map((value) => JSON.stringify(value)).join(", ")}`,
  fits: (value) => values.includes(value as string | number),
});
/** A record whose values keep a rule. */
export const recordOf = (rule: OptionRule): OptionRule => ({
  is: `a record with values that are ${rule.is}`,
  fits: (value) =>
    typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((each) => rule.fits(each)),
});

/** Throws FRUGAL_BAD_ARGUMENT for an option that is not among the rules, naming the nearest, and for a value that does not fit. Absent ones may be undefined. */
export function checkOptions(technique: string, options: object, rules: Readonly<Record<string, OptionRule>>): void {
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule === undefined) {
      const known = Object.keys(rules);
      const near = nearest(name, known);
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${technique}: has no option "${name}"${near === undefined ? "" : `, did you mean "${near}"?`}; it has ${known.join(", ") || "none"}`,
        { option: name },
      );
    }
    if (value !== undefined && !rule.fits(value))
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: ${name} must be ${rule.is}, got ${shown(value)}`, { option: name });
  }
}

function shown(value: unknown): string {
  const printed = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return printed.length > 60 ? `${printed.slice(0, 60)}...` : printed;
}

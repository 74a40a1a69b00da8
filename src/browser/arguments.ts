/** Checks of what a page sends as arguments; everything else is checked by whoever is called in the end. */
import { FrugalError } from "../tensor/error.ts";

const bad = (call: string, what: string, wanted: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: ${what} is no ${wanted}; give one`);

/** An object, or an empty one where there is none. */
export function object(call: string, what: string, value: unknown): Readonly<Record<string, unknown>> {
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad(call, what, "object");
  return value as Readonly<Record<string, unknown>>;
}

export function text(call: string, what: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw bad(call, what, "text");
  return value;
}

export function number(call: string, what: string, value: unknown): number {
  if (typeof value !== "number") throw bad(call, what, "number");
  return value;
}

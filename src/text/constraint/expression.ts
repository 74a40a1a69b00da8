/** A grammar as every kind of constraint is brought to: rules over characters, which `automaton.ts` turns into bytes. */
import { FrugalError } from "../../tensor/error.ts";
import type { CharacterSet } from "./character-set.ts";
import type { Language } from "./language.ts";

export type Expression =
  | { readonly kind: "characters"; readonly set: CharacterSet }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "sequence"; readonly parts: readonly Expression[] }
  | { readonly kind: "choice"; readonly options: readonly Expression[] }
  | { readonly kind: "repeat"; readonly body: Expression; readonly least: number; readonly most: number }
  | { readonly kind: "rule"; readonly index: number }
  /** A regular language, each character written as `spell` says: the inside of JSON strings needs escapes. */
  | { readonly kind: "language"; readonly language: Language; readonly spell: "plain" | "json" };

export interface Grammar {
  readonly rules: readonly Expression[];
  readonly root: number;
}

/** What compiling may take before it is given up: all counts, so that the same constraint ends the same everywhere. */
export interface Effort {
  /** Counts `amount` units of work. @throws FRUGAL_BAD_ARGUMENT when the limit or the deadline is passed. */
  spend(amount: number): void;
}

/** @param units work in steps of about a tenth of a microsecond. @param deadline by performance.now(). */
export function effort(units: number, deadline: number): Effort {
  let left = units;
  let untilLook = 0;
  return {
    spend(amount) {
      left -= amount;
      untilLook -= amount;
      if (left < 0)
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: compiling takes more than ${units} steps; make it simpler`, { units });
      if (untilLook > 0) return;
      untilLook = 10_000;
      if (performance.now() > deadline)
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", "constraint: compiling takes longer than its time limit; make it simpler");
    },
  };
}

export const text = (value: string): Expression => ({ kind: "text", text: value });
export const sequence = (...parts: readonly Expression[]): Expression => (parts.length === 1 ? parts[0]! : { kind: "sequence", parts });
export const choice = (...options: readonly Expression[]): Expression => (options.length === 1 ? options[0]! : { kind: "choice", options });
export const repeat = (body: Expression, least: number, most: number): Expression =>
  least === 1 && most === 1 ? body : { kind: "repeat", body, least, most };
export const optional = (body: Expression): Expression => repeat(body, 0, 1);
export const characters = (set: CharacterSet): Expression => ({ kind: "characters", set });
/** Matches nothing, not even the empty text. */
export const never: Expression = { kind: "choice", options: [] };

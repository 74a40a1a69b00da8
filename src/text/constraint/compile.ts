/** From what people ask for to the network that all texts under it share. Pure: it may run on any thread. */
import { FrugalError, nearest } from "../../tensor/error.ts";
import type { Constraint } from "../constraint.ts";
import type { Automaton } from "./automaton.ts";
import { buildAutomaton } from "./build-automaton.ts";
import { type Effort, effort, type Grammar } from "./expression.ts";
import { readGbnf } from "./gbnf.ts";
import { anyObject, anyValue } from "./json-expressions.ts";
import { ofTexts } from "./language.ts";
import { hasLooks, patternExpression, patternLanguage } from "./pattern-language.ts";
import { readPattern } from "./regex-pattern.ts";
import { schemaGrammar } from "./schema-grammar.ts";

/** Steps of work: about two seconds. */
const units = 30_000_000;
const mostChoices = 100_000;

/** @throws FRUGAL_BAD_ARGUMENT for what is none or too much, FRUGAL_UNSUPPORTED naming what cannot be enforced. */
export function compileConstraint(constraint: Constraint, milliseconds: number): Automaton {
  const work = effort(units, performance.now() + milliseconds);
  return buildAutomaton(grammarOf(constraint, work), work);
}

function grammarOf(constraint: Constraint, work: Effort): Grammar {
  const { kind } = constraint;
  if (kind === "json") {
    const value = anyValue({ kind: "rule", index: 0 });
    return { rules: [value, anyObject({ kind: "rule", index: 0 })], root: 1 };
  }
  if (kind === "json-schema") return schemaGrammar(constraint.schema, work);
  if (kind === "regex") {
    const pattern = readPattern(text(kind, "pattern", constraint.pattern));
    if (hasLooks(pattern))
      return { rules: [{ kind: "language", language: patternLanguage(pattern, true, work), spell: "plain" }], root: 0 };
    return { rules: [patternExpression(pattern)], root: 0 };
  }
  if (kind === "grammar") return readGbnf(text(kind, "grammar", constraint.grammar));
  if (kind !== "choice") {
    const near = nearest(String(kind), ["json", "json-schema", "regex", "choice", "grammar"]);
    throw bad(
      `kind ${JSON.stringify(kind)} is unknown; ${near === undefined ? "give json, json-schema, regex, choice or grammar" : `write ${near}`}`,
    );
  }
  const { choices } = constraint;
  if (!Array.isArray(choices) || choices.length === 0 || choices.some((c) => typeof c !== "string" || !c.isWellFormed()))
    throw bad("choices is no list of texts; give at least one");
  if (choices.length > mostChoices) throw bad(`${choices.length} choices are more than ${mostChoices}; give fewer`);
  return { rules: [{ kind: "language", language: ofTexts(choices, work), spell: "plain" }], root: 0 };
}

function text(kind: string, name: string, value: unknown): string {
  if (typeof value === "string" && value.isWellFormed()) return value;
  throw bad(`${name} of the kind ${kind} is no text; give a string`);
}

const bad = (what: string): FrugalError => new FrugalError("FRUGAL_BAD_ARGUMENT", `constraint: ${what}`);

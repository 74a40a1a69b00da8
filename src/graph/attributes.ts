/** Attributes of one run. */
import { type Dim, type Dims, evaluate, type Symbols } from "./dim.ts";
import type { Attribute, Attributes } from "./value.ts";

/** The same with every size a number. */
export const evaluateAttributes = (attributes: Attributes, symbols: Symbols): Attributes =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, evaluateAttribute(value, symbols)]));

function evaluateAttribute(value: Attribute, symbols: Symbols): Attribute {
  if (Array.isArray(value)) return (value as Dims).map((dim) => evaluate(dim, symbols));
  return typeof value === "object" ? evaluate(value as Dim, symbols) : value;
}

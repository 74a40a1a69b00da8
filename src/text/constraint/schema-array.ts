/** What schemas say of an array: items in their order, each fulfilling what all of them say of its place. */
import { type Expression, never, optional, repeat, sequence, text } from "./expression.ts";
import { bracketed, comma } from "./json-expressions.ts";
import type { Alternative, Part } from "./schema-flatten.ts";
import type { SchemaRules } from "./schema-grammar.ts";
import { type Schema, unsupported } from "./schema-keywords.ts";

interface Items {
  readonly prefix: readonly Schema[];
  /** Of items after the prefix; undefined where nothing is said. */
  readonly rest: Schema | undefined;
}

function itemsOf({ schema }: Part): Items {
  const items = schema["items"] as Schema | readonly Schema[] | undefined;
  if (Array.isArray(items)) return { prefix: items, rest: schema["additionalItems"] as Schema | undefined };
  return { prefix: (schema["prefixItems"] as readonly Schema[] | undefined) ?? [], rest: items as Schema | undefined };
}

export function arrayExpression(alternative: Alternative, { value, document }: SchemaRules): Expression {
  let [least, most] = [0, Infinity];
  const contained: Schema[] = [];
  const parts = alternative.map((part) => ({ part, ...itemsOf(part) }));
  for (const { schema } of alternative) {
    const path = document.pathOf(schema);
    least = Math.max(least, (schema["minItems"] as number | undefined) ?? 0);
    most = Math.min(most, (schema["maxItems"] as number | undefined) ?? Infinity);
    const wanted = (schema["minContains"] as number | undefined) ?? 1;
    if (schema["contains"] === undefined) continue;
    if (wanted > 1 || schema["maxContains"] !== undefined)
      throw unsupported(wanted > 1 ? "minContains" : "maxContains", path, "is not enforced; remove it");
    if (wanted === 1) contained.push(schema["contains"] as Schema);
  }
  const unique = alternative.find(({ schema }) => schema["uniqueItems"] === true);
  if (unique !== undefined && most > 1)
    throw unsupported("uniqueItems", document.pathOf(unique.schema), "is not enforced beyond one item; remove it");

  /** What is said of items that no other word looks at. */
  const unevaluated = alternative
    .filter(({ schema }) => schema["unevaluatedItems"] !== undefined)
    .map(({ schema }) => {
      const inner = parts.filter(({ part }) => part.schema === schema || part.inside.includes(schema));
      const path = document.pathOf(schema);
      for (const { part } of inner)
        for (const word of ["contains", "not", "if"])
          if (part.schema[word] !== undefined)
            throw unsupported("unevaluatedItems", path, `stands beside ${word}, where it is not enforced; remove it`);
      const all = inner.some(
        ({ part, rest }) => rest !== undefined || (part.schema !== schema && part.schema["unevaluatedItems"] !== undefined),
      );
      return {
        from: all ? Infinity : Math.max(0, ...inner.map(({ prefix }) => prefix.length)),
        schema: schema["unevaluatedItems"] as Schema,
      };
    });

  const itemAt = (i: number, extra: readonly Schema[] = []): Expression =>
    value([
      ...parts.flatMap(({ prefix, rest }): Schema[] => (i < prefix.length ? [prefix[i]!] : rest === undefined ? [] : [rest])),
      ...unevaluated.filter(({ from }) => i >= from).map(({ schema }) => schema),
      ...extra,
    ]);
  const places = Math.max(0, ...parts.map(({ prefix }) => prefix.length), ...unevaluated.map(({ from }) => (from === Infinity ? 0 : from)));

  if (contained.length > 0) {
    if (contained.length > 1 || places > 0 || least > 1 || most !== Infinity)
      throw unsupported(
        "contains",
        document.pathOf(alternative[0]!.schema),
        "is not enforced beside prefixItems, minItems, maxItems or another contains; remove it",
      );
    const item = itemAt(0);
    return bracketed(
      "[",
      "]",
      sequence(repeat(sequence(item, comma), 0, Infinity), itemAt(0, contained), repeat(sequence(comma, item), 0, Infinity)),
    );
  }
  if (least > most) return never;

  // From the end: what may follow the first i items, a comma before each item but the first.
  const lead = (i: number): readonly Expression[] => (i === 0 ? [] : [comma]);
  const counted = Math.min(places, most);
  let following: Expression = text("");
  if (most > places) {
    const item = itemAt(places);
    const [fewest, largest] = [Math.max(0, least - places), most - places];
    following =
      places > 0
        ? repeat(sequence(comma, item), fewest, largest)
        : fewest === 0
          ? optional(sequence(item, repeat(sequence(comma, item), 0, largest - 1)))
          : sequence(item, repeat(sequence(comma, item), fewest - 1, largest - 1));
  }
  for (let i = counted - 1; i >= 0; i--) {
    const rest = sequence(...lead(i), itemAt(i), following);
    following = i >= least ? optional(rest) : rest;
  }
  return bracketed("[", "]", following);
}

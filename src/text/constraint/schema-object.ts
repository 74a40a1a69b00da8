/** What schemas say of an object: its properties in the order in which the schemas name them, then others. */
import { choice, type Expression, never, repeat, sequence, text } from "./expression.ts";
import { bracketed, colon, comma, jsonString } from "./json-expressions.ts";
import { accepts, combine, isEmpty, type Language, ofTexts } from "./language.ts";
import { everyText } from "./pattern-language.ts";
import type { Alternative, Part } from "./schema-flatten.ts";
import type { SchemaRules } from "./schema-grammar.ts";
import { isObject, type Schema, type SchemaObject, unsupported } from "./schema-keywords.ts";
import { quoted, stringLanguage } from "./schema-string.ts";
import { fulfils } from "./schema-values.ts";

/** Sets of patterns are told apart one by one: 2 to this power of them. */
const mostPatterns = 6;
/** Places in the order of properties times counts kept of them. */
const mostPlaces = 50_000;

interface Spec {
  readonly part: Part;
  readonly properties: SchemaObject;
  readonly patterns: readonly (readonly [source: string, schema: Schema])[];
  readonly additional: Schema | undefined;
}

export function objectExpression(alternative: Alternative, rules: SchemaRules): Expression {
  const { value, document, share } = rules;
  const specs = alternative.map((part): Spec => {
    const own = (word: string): unknown => (Object.hasOwn(part.schema, word) ? part.schema[word] : undefined);
    const [properties, patterns] = [own("properties"), own("patternProperties")];
    return {
      part,
      properties: isObject(properties) ? properties : {},
      patterns: isObject(patterns) ? (Object.entries(patterns) as [string, Schema][]) : [],
      additional: own("additionalProperties") as Schema | undefined,
    };
  });
  let [least, most] = [0, Infinity];
  const required = new Set<string>();
  const keySchemas: Schema[] = [];
  for (const { schema } of alternative) {
    least = Math.max(least, (schema["minProperties"] as number | undefined) ?? 0);
    most = Math.min(most, (schema["maxProperties"] as number | undefined) ?? Infinity);
    for (const name of (schema["required"] as readonly string[] | undefined) ?? []) required.add(name);
    if (schema["propertyNames"] !== undefined) keySchemas.push(schema["propertyNames"] as Schema);
  }
  const unevaluated = specs.filter(({ part }) => part.schema["unevaluatedProperties"] !== undefined);
  for (const { part } of unevaluated)
    for (const word of ["not", "if"])
      if (alternative.some(({ schema }) => schema[word] !== undefined))
        throw unsupported(
          "unevaluatedProperties",
          document.pathOf(part.schema),
          `stands beside ${word}, where it is not enforced; remove it`,
        );

  /** What all say of a property that has this name, or matches exactly these patterns. */
  const demands = (name: string | undefined, matches: (source: string) => boolean): Schema[] => {
    const found: Schema[] = [];
    const looked = new Set<Spec>();
    for (const spec of specs) {
      const own: Schema[] = name !== undefined && Object.hasOwn(spec.properties, name) ? [spec.properties[name] as Schema] : [];
      for (const [source, schema] of spec.patterns) if (matches(source)) own.push(schema);
      if (own.length > 0 || spec.additional !== undefined) looked.add(spec);
      if (own.length > 0) found.push(...own);
      else if (spec.additional !== undefined) found.push(spec.additional);
    }
    for (const spec of unevaluated) {
      const { schema } = spec.part;
      const inner = specs.filter(({ part }) => part.schema === schema || part.inside.includes(schema));
      const seen = inner.some((other) => looked.has(other) || (other !== spec && other.part.schema["unevaluatedProperties"] !== undefined));
      if (!seen) found.push(schema["unevaluatedProperties"] as Schema);
    }
    return found;
  };

  const names = [...new Set([...specs.flatMap(({ properties }) => Object.keys(properties)), ...required])];
  const members = names.map((name) => {
    const allowed = keySchemas.every((schema) => fulfils(name, schema, document));
    const schemas = demands(name, (source) => accepts(document.pattern(source), name));
    return {
      name,
      required: required.has(name),
      expression: allowed && !schemas.includes(false) ? sequence(text(JSON.stringify(name)), colon, value(schemas)) : never,
    };
  });

  if (least > most) return never;
  const others = otherMembers(specs, names, keySchemas, demands, rules);

  // least and most count members: one state for each count that matters, from the last property back to the first. Several others may be of
  // one name, so that they count as one.
  const cap = Math.max(1, most === Infinity ? least : Math.min(most, names.length + 1), Math.min(least, names.length + 1));
  if ((names.length + 1) * (cap + 1) > mostPlaces)
    throw unsupported(
      "minProperties or maxProperties",
      document.pathOf(alternative[0]!.schema),
      `takes more than ${mostPlaces} places; give less`,
    );
  if (others !== never && least > 0 && least > members.filter(({ expression }) => expression !== never).length + 1)
    throw unsupported(
      "minProperties",
      document.pathOf(alternative[0]!.schema),
      "asks for more properties than are named, which cannot be told apart; name them",
    );
  const table: Expression[][] = Array.from({ length: names.length + 1 }, () => []);
  const put = (i: number, count: number): Expression => table[i]![Math.min(count, cap)]!;
  for (let count = cap; count >= 0; count--) {
    // A count at the cap may stand for more where there is no most.
    const left = most === Infinity ? Infinity : most - count;
    const options: Expression[] = [];
    if (count >= least) options.push(text(""));
    if (others !== never && left > 0 && count + 1 >= least) {
      const more = repeat(sequence(comma, others), 0, left - 1);
      options.push(count === 0 ? sequence(others, more) : sequence(comma, others, more));
    }
    table[names.length]![count] = left < 0 ? never : share(choice(...options));
  }
  for (let i = names.length - 1; i >= 0; i--)
    for (let count = cap; count >= 0; count--) {
      const member = members[i]!;
      const options: Expression[] = [];
      if (member.expression !== never && (most === Infinity || count < most))
        options.push(sequence(...(count === 0 ? [] : [comma]), member.expression, put(i + 1, count + 1)));
      if (!member.required) options.push(put(i + 1, count));
      table[i]![count] = share(choice(...options));
    }
  return bracketed("{", "}", table[0]![0]!);
}

/** Members whose names are none of `names`. */
function otherMembers(
  specs: readonly Spec[],
  names: readonly string[],
  keySchemas: readonly Schema[],
  demands: (name: undefined, matches: (source: string) => boolean) => Schema[],
  { value, document, share }: SchemaRules,
): Expression {
  const { work } = document;
  const sources = [...new Set(specs.flatMap(({ patterns }) => patterns.map(([source]) => source)))];
  if (sources.length > mostPatterns)
    throw unsupported(
      "patternProperties",
      document.pathOf(specs[0]!.part.schema),
      `has more than ${mostPatterns} patterns for one object; give fewer`,
    );
  let keys: Language | undefined;
  for (const schema of keySchemas) {
    if (typeof schema === "boolean") {
      if (!schema) return never;
      continue;
    }
    document.idOf(schema);
    keys = both(keys, keyLanguage(schema, document), document);
  }
  if (names.length > 0) keys = combine(keys ?? everyText(work), ofTexts(names, work), true, work);
  const options: Expression[] = [];
  for (let set = 0; set < 2 ** sources.length; set++) {
    const matches = (source: string): boolean => ((set >> sources.indexOf(source)) & 1) === 1;
    const schemas = demands(undefined, matches);
    if (schemas.includes(false)) continue;
    let language = keys;
    for (const source of sources) {
      const pattern = document.pattern(source);
      language = matches(source) ? both(language, pattern, document) : combine(language ?? everyText(work), pattern, true, work);
    }
    if (language !== undefined && isEmpty(language)) continue;
    options.push(sequence(language === undefined ? jsonString() : quoted(language), colon, value(schemas)));
  }
  return options.length === 0 ? never : share(choice(...options));
}

const both = (a: Language | undefined, b: Language | undefined, { work }: SchemaRules["document"]): Language | undefined =>
  a === undefined || b === undefined ? (a ?? b) : combine(a, b, false, work);

/** The keys that a schema of propertyNames allows. */
function keyLanguage(schema: SchemaObject, document: SchemaRules["document"]): Language | undefined {
  if (Object.hasOwn(schema, "$ref")) {
    const target = document.resolve(schema["$ref"] as string, document.pathOf(schema));
    if (isObject(target) && Object.keys(schema).length === 1 && target !== schema) return keyLanguage(target, document);
  }
  const listed = (schema["enum"] as readonly unknown[] | undefined) ?? (Object.hasOwn(schema, "const") ? [schema["const"]] : undefined);
  if (listed !== undefined)
    return ofTexts(listed.filter((name) => typeof name === "string" && fulfils(name, schema, document)) as string[], document.work);
  for (const word of ["$ref", "allOf", "anyOf", "oneOf", "not", "if"])
    if (Object.hasOwn(schema, word))
      throw unsupported(
        "propertyNames",
        document.pathOf(schema),
        `holds ${word}, which is not enforced there; use pattern, enum or lengths`,
      );
  if (Object.hasOwn(schema, "type") && ![schema["type"]].flat().includes("string")) return ofTexts([], document.work);
  return stringLanguage([{ schema, inside: [] }], document);
}

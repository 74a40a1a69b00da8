/** Whether a value that a schema itself names (enum, const) fulfils the rest of it. Patterns are run as automata, so that none takes for ever. */
import { decimal } from "./decimal.ts";
import { isNameOfPattern } from "./formats.ts";
import { accepts } from "./language.ts";
import type { SchemaDocument } from "./schema-document.ts";
import { isObject, type Schema, type SchemaObject, unsupported } from "./schema-keywords.ts";
import { notFormat, notInteger, notPattern, notValues } from "./schema-negate.ts";

/** JSON with the members of objects in one order: equal values have equal texts. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`);
  return `{${members.sort().join()}}`;
}

const typeOf = (value: unknown): string => (value === null ? "null" : Array.isArray(value) ? "array" : typeof value);
const isOfType = (value: unknown, type: unknown): boolean => (type === "integer" ? Number.isInteger(value) : typeOf(value) === type);
const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

export function fulfils(value: unknown, schema: Schema, document: SchemaDocument, depth = 0): boolean {
  if (typeof schema === "boolean") return schema;
  document.idOf(schema);
  document.work.spend(20);
  const path = document.pathOf(schema);
  if (depth > 200) throw unsupported("$ref", path, "refers to itself endlessly; remove it");
  const inner = (v: unknown, s: unknown): boolean => fulfils(v, s as Schema, document, depth + 1);
  for (const word of ["unevaluatedProperties", "unevaluatedItems"])
    if (Object.hasOwn(schema, word))
      throw unsupported(word, path, "stands beside named values (enum, const), where it is not enforced; remove it");
  const rules: Readonly<Record<string, (given: never) => boolean>> = {
    $ref: (reference: string) => inner(value, document.resolve(reference, path)),
    type: (types: unknown) => asList(types).some((type) => isOfType(value, type)),
    enum: (values: readonly unknown[]) => values.some((other) => canonical(other) === canonical(value)),
    const: (other: unknown) => canonical(other) === canonical(value),
    [notValues]: (values: readonly unknown[]) => !values.some((other) => canonical(other) === canonical(value)),
    [notInteger]: () => typeof value !== "number" || !Number.isInteger(value),
    allOf: (list: readonly Schema[]) => list.every((s) => inner(value, s)),
    anyOf: (list: readonly Schema[]) => list.some((s) => inner(value, s)),
    oneOf: (list: readonly Schema[]) => list.filter((s) => inner(value, s)).length === 1,
    not: (s: Schema) => !inner(value, s),
    if: (s: Schema) => inner(value, inner(value, s) ? (schema["then"] ?? true) : (schema["else"] ?? true)),
  };
  const holds = (table: Readonly<Record<string, (given: never) => boolean>>): boolean =>
    Object.entries(table).every(([word, test]) => !Object.hasOwn(schema, word) || test(schema[word] as never));
  if (!holds(rules)) return false;
  if (typeof value === "string") return holds(ofStrings(value, schema, document, path));
  if (typeof value === "number") return holds(ofNumbers(value));
  if (Array.isArray(value)) return holds(ofArrays(value, schema, inner));
  return !isObject(value) || holds(ofObjects(value, schema, inner, document));
}

type Rules = Readonly<Record<string, (given: never) => boolean>>;
type Inner = (value: unknown, schema: unknown) => boolean;

const ofStrings = (value: string, schema: SchemaObject, document: SchemaDocument, path: string): Rules => ({
  minLength: (count: number) => Array.from(value).length >= count,
  maxLength: (count: number) => Array.from(value).length <= count,
  pattern: (source: string) => accepts(document.pattern(source), value),
  [notPattern]: (source: string) => !accepts(document.pattern(source), value),
  format: (name: string) => isNameOfPattern(name, schema) || accepts(document.format(name, path), value),
  [notFormat]: (name: string) => !accepts(document.format(name, path), value),
});

const ofNumbers = (value: number): Rules => ({
  minimum: (bound: number) => value >= bound,
  maximum: (bound: number) => value <= bound,
  exclusiveMinimum: (bound: number) => value > bound,
  exclusiveMaximum: (bound: number) => value < bound,
  multipleOf: (step: number) => {
    const [a, b] = [decimal(value), decimal(step)];
    const places = Math.max(a.fraction.length, b.fraction.length);
    return BigInt(a.whole + a.fraction.padEnd(places, "0")) % BigInt(b.whole + b.fraction.padEnd(places, "0")) === 0n;
  },
});

const ofArrays = (value: readonly unknown[], schema: SchemaObject, inner: Inner): Rules => {
  const prefix = asList(schema["prefixItems"] ?? (Array.isArray(schema["items"]) ? schema["items"] : []));
  return {
    minItems: (count: number) => value.length >= count,
    maxItems: (count: number) => value.length <= count,
    uniqueItems: (wanted: boolean) => !wanted || new Set(value.map(canonical)).size === value.length,
    prefixItems: (list: readonly Schema[]) => list.every((s, i) => i >= value.length || inner(value[i], s)),
    items: (items: unknown) =>
      Array.isArray(items)
        ? items.every((s, i) => i >= value.length || inner(value[i], s))
        : value.every((item, i) => i < prefix.length || inner(item, items)),
    additionalItems: (s: Schema) => !Array.isArray(schema["items"]) || value.every((item, i) => i < prefix.length || inner(item, s)),
    contains: (s: Schema) => {
      const count = value.filter((item) => inner(item, s)).length;
      return count >= Number(schema["minContains"] ?? 1) && count <= Number(schema["maxContains"] ?? Infinity);
    },
  };
};

const ofObjects = (value: SchemaObject, schema: SchemaObject, inner: Inner, document: SchemaDocument): Rules => {
  const keys = Object.keys(value);
  const has = (key: string): boolean => Object.hasOwn(value, key);
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  const patterns = isObject(schema["patternProperties"]) ? schema["patternProperties"] : {};
  const matching = (key: string): string[] => Object.keys(patterns).filter((source) => accepts(document.pattern(source), key));
  return {
    properties: () => keys.every((key) => !Object.hasOwn(properties, key) || inner(value[key], properties[key])),
    patternProperties: () => keys.every((key) => matching(key).every((source) => inner(value[key], patterns[source]))),
    additionalProperties: (s: Schema) =>
      keys.every((key) => Object.hasOwn(properties, key) || matching(key).length > 0 || inner(value[key], s)),
    propertyNames: (s: Schema) => keys.every((key) => inner(key, s)),
    required: (names: readonly string[]) => names.every(has),
    minProperties: (count: number) => keys.length >= count,
    maxProperties: (count: number) => keys.length <= count,
    dependentRequired: (lists: Readonly<Record<string, readonly string[]>>) =>
      Object.entries(lists).every(([key, names]) => !has(key) || names.every(has)),
    dependentSchemas: (map: Readonly<Record<string, Schema>>) => Object.entries(map).every(([key, s]) => !has(key) || inner(value, s)),
    dependencies: (map: Readonly<Record<string, unknown>>) =>
      Object.entries(map).every(([key, s]) => !has(key) || (Array.isArray(s) ? s.every(has) : inner(value, s))),
  };
};

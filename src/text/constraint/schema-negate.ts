/** The opposite of a schema as a schema, for `not` and `if`: one of its demands is broken. */
import { type Schema, type SchemaObject, unsupported } from "./schema-keywords.ts";

/** Words of our own, for what JSON Schema can only say with `not`; the control character keeps people from writing them. */
export const notPattern = "\0notPattern";
export const notFormat = "\0notFormat";
export const notValues = "\0notValues";
export const notInteger = "\0notInteger";
export const ownKeywords: readonly string[] = [notPattern, notFormat, notValues, notInteger];

const typeNames = ["null", "boolean", "number", "string", "array", "object"];

/** A schema that exactly the values fulfil which break `schema`. @throws FRUGAL_UNSUPPORTED where there is none. */
export function negate(schema: Schema, path: string, resolve: (reference: string, path: string) => Schema): Schema {
  if (typeof schema === "boolean") return !schema;
  const options: Schema[] = [];
  for (const [keyword, value] of Object.entries(schema)) {
    const broken = opposites[keyword];
    if (broken !== undefined) options.push(...broken(value as never, schema));
    else if (keyword === "$ref") options.push({ not: resolve(value as string, path) });
    else if (keyword === "if" || keyword === "uniqueItems" ? value !== false : enforcedInside.includes(keyword))
      throw unsupported(
        keyword,
        path,
        "stands where its opposite is asked for (by not, if, or a oneOf whose options may hold together), which cannot be enforced; write it otherwise",
      );
  }
  return { anyOf: options };
}

const enforcedInside = [
  "oneOf",
  "multipleOf",
  "patternProperties",
  "additionalProperties",
  "unevaluatedProperties",
  "propertyNames",
  "dependentRequired",
  "dependentSchemas",
  "dependencies",
  "prefixItems",
  "items",
  "unevaluatedItems",
  "contains",
  "minProperties",
  "maxProperties",
  ...ownKeywords,
];

const opposites: Readonly<Record<string, (value: never, schema: SchemaObject) => Schema[]>> = {
  type(value: string | readonly string[]) {
    const named = typeof value === "string" ? [value] : value;
    const others = typeNames.filter((name) => !named.includes(name) && !(name === "number" && named.includes("integer")));
    const broken: Schema[] = others.length === 0 ? [] : [{ type: others }];
    return named.includes("integer") && !named.includes("number") ? [...broken, { type: "number", [notInteger]: true }] : broken;
  },
  enum: (values: readonly unknown[]) => [{ [notValues]: values }],
  const: (value: unknown) => [{ [notValues]: [value] }],
  allOf: (list: readonly Schema[]) => list.map((schema) => ({ not: schema })),
  anyOf: (list: readonly Schema[]) => [{ allOf: list.map((schema) => ({ not: schema })) }],
  not: (schema: Schema) => [schema],
  required: (names: readonly string[]) => names.map((name) => ({ type: "object", properties: { [name]: false } })),
  properties: (map: Readonly<Record<string, Schema>>) =>
    Object.entries(map).map(([name, schema]) => ({ type: "object", required: [name], properties: { [name]: { not: schema } } })),
  minLength: (count: number) => (count === 0 ? [] : [{ type: "string", maxLength: count - 1 }]),
  maxLength: (count: number) => [{ type: "string", minLength: count + 1 }],
  minItems: (count: number) => (count === 0 ? [] : [{ type: "array", maxItems: count - 1 }]),
  maxItems: (count: number) => [{ type: "array", minItems: count + 1 }],
  minimum: (value: number) => [{ type: "number", exclusiveMaximum: value }],
  maximum: (value: number) => [{ type: "number", exclusiveMinimum: value }],
  exclusiveMinimum: (value: number) => [{ type: "number", maximum: value }],
  exclusiveMaximum: (value: number) => [{ type: "number", minimum: value }],
  pattern: (source: string) => [{ type: "string", [notPattern]: source }],
  format: (name: string) => [{ type: "string", [notFormat]: name }],
};

/** The words of JSON Schema: which we enforce, which enforce nothing, and which we refuse, since what is not enforced must not look as if it were. */
import { FrugalError, nearest } from "../../tensor/error.ts";

export type Schema = boolean | SchemaObject;
export type SchemaObject = Readonly<Record<string, unknown>>;

/** Words that only describe. */
const annotations = [
  "$schema",
  "$id",
  "id",
  "$comment",
  "$anchor",
  "$defs",
  "$vocabulary",
  "definitions",
  "title",
  "description",
  "default",
  "example",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly",
];

type Shape =
  | "schema"
  | "schemas"
  | "map"
  | "count"
  | "number"
  | "names"
  | "text"
  | "list"
  | "any"
  | "boolean"
  | "type"
  | "items"
  | "name lists"
  | "dependencies";

/** Words that are enforced, and what stands behind each. */
const enforced: ReadonlyMap<string, Shape> = new Map<string, Shape>([
  ["$ref", "text"],
  ["type", "type"],
  ["enum", "list"],
  ["const", "any"],
  ["allOf", "schemas"],
  ["anyOf", "schemas"],
  ["oneOf", "schemas"],
  ["not", "schema"],
  ["if", "schema"],
  ["then", "schema"],
  ["else", "schema"],
  ["minLength", "count"],
  ["maxLength", "count"],
  ["pattern", "text"],
  ["format", "text"],
  ["minimum", "number"],
  ["maximum", "number"],
  ["exclusiveMinimum", "number"],
  ["exclusiveMaximum", "number"],
  ["multipleOf", "number"],
  ["properties", "map"],
  ["patternProperties", "map"],
  ["additionalProperties", "schema"],
  ["unevaluatedProperties", "schema"],
  ["propertyNames", "schema"],
  ["required", "names"],
  ["minProperties", "count"],
  ["maxProperties", "count"],
  ["dependentRequired", "name lists"],
  ["dependentSchemas", "map"],
  ["dependencies", "dependencies"],
  ["prefixItems", "schemas"],
  ["items", "items"],
  ["additionalItems", "schema"],
  ["unevaluatedItems", "schema"],
  ["contains", "schema"],
  ["minContains", "count"],
  ["maxContains", "count"],
  ["minItems", "count"],
  ["maxItems", "count"],
  ["uniqueItems", "boolean"],
]);

/** Words of JSON Schema that nothing here enforces. */
const refused = [
  "$dynamicRef",
  "$dynamicAnchor",
  "$recursiveRef",
  "$recursiveAnchor",
  "contentEncoding",
  "contentMediaType",
  "contentSchema",
];

export const enforcedKeywords: readonly string[] = [...enforced.keys()];

const types = ["null", "boolean", "integer", "number", "string", "array", "object"];
const mostCount = 100_000;

export const isObject = (value: unknown): value is SchemaObject => typeof value === "object" && value !== null && !Array.isArray(value);
const isSchema = (value: unknown): value is Schema => typeof value === "boolean" || isObject(value);
const isNames = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((name) => typeof name === "string");
const isMap = (value: unknown, of: (entry: unknown) => boolean): boolean => isObject(value) && Object.values(value).every(of);

const fits: Readonly<Record<Shape, readonly [test: (value: unknown) => boolean, expected: string]>> = {
  schema: [isSchema, "a schema"],
  schemas: [(v) => Array.isArray(v) && v.every(isSchema), "a list of schemas"],
  map: [(v) => isMap(v, isSchema), "schemas by name"],
  count: [(v) => Number.isInteger(v) && Number(v) >= 0 && Number(v) <= mostCount, `a whole number from 0 to ${mostCount}`],
  number: [Number.isFinite, "a number"],
  names: [isNames, "a list of names"],
  text: [(v) => typeof v === "string", "a string"],
  list: [(v) => Array.isArray(v), "a list of values"],
  any: [() => true, ""],
  boolean: [(v) => typeof v === "boolean", "true or false"],
  type: [(v) => (isNames(v) ? v : [v]).every((name) => types.includes(String(name))), `one of ${types.join(", ")}, or a list of them`],
  items: [(v) => isSchema(v) || (Array.isArray(v) && v.every(isSchema)), "a schema or a list of schemas"],
  "name lists": [(v) => isMap(v, isNames), "lists of names by name"],
  dependencies: [(v) => isMap(v, (entry) => isNames(entry) || isSchema(entry)), "schemas or lists of names by name"],
};

/** The refusal of a keyword at a place of the schema. */
export function unsupported(keyword: string, path: string, why: string): FrugalError {
  return new FrugalError("FRUGAL_UNSUPPORTED", `json-schema: ${keyword} at ${path || "#"} ${why}`, { keyword, path });
}

/** Looks at the words of one schema, not of those inside. @throws FRUGAL_UNSUPPORTED for words not enforced, FRUGAL_BAD_ARGUMENT for malformed ones. */
export function checkKeywords(schema: SchemaObject, path: string): void {
  for (const [keyword, value] of Object.entries(schema)) {
    if (annotations.includes(keyword) || keyword.startsWith("x-")) {
      if (keyword === "$id" && path !== "#")
        throw unsupported(keyword, path, "gives a part a name of its own, which is not supported; remove it");
      continue;
    }
    const shape = enforced.get(keyword);
    if (shape === undefined) {
      if (refused.includes(keyword)) throw unsupported(keyword, path, "is not enforced here; remove it");
      const near = nearest(keyword, [...enforcedKeywords, ...annotations]);
      throw unsupported(keyword, path, `is no keyword that is known; ${near === undefined ? "remove it" : `write ${near}, or remove it`}`);
    }
    const [test, expected] = fits[shape];
    if (!test(value))
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `json-schema: ${keyword} at ${path} is ${shown(value)}; give ${expected}`, {
        keyword,
        path,
      });
  }
}

const shown = (value: unknown): string => {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
};

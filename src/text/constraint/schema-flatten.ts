/** A conjunction of schemas as alternatives without `$ref`, `allOf`, `anyOf`, `not` and their like: lists of schemas whose words all hold at once. */
import { FrugalError } from "../../tensor/error.ts";
import type { SchemaDocument } from "./schema-document.ts";
import { isObject, type Schema, type SchemaObject } from "./schema-keywords.ts";
import { negate } from "./schema-negate.ts";

/** A schema of which only the words about types, strings, numbers, arrays and objects are left to look at. */
export interface Part {
  readonly schema: SchemaObject;
  /** The schemas that this one stands inside, at the same place of the value. */
  readonly inside: readonly SchemaObject[];
}

export type Alternative = readonly Part[];

interface Open {
  readonly schema: Schema;
  readonly inside: readonly SchemaObject[];
}

const mostAlternatives = 4_000;
const everyType = ["null", "boolean", "number", "string", "array", "object"];

/**
 * @param apart called for pairs of a oneOf's options: whether no value fulfils both.
 * @throws FRUGAL_UNSUPPORTED for a oneOf whose options may hold together, where one has no plain opposite.
 */
export function flatten(
  schemas: readonly Schema[],
  document: SchemaDocument,
  apart: (schemas: readonly Schema[]) => boolean,
): readonly Alternative[] {
  const found: Alternative[] = [];
  const opposites = new Map<Schema, Schema>();
  const opposite = (schema: Schema, path: string): Schema => {
    if (typeof schema === "boolean") return !schema;
    document.idOf(schema);
    const known = opposites.get(schema) ?? negate(schema, path, document.resolve);
    opposites.set(schema, known);
    return known;
  };

  const go = (parts: readonly Part[], waiting: readonly Open[], branches: readonly (readonly Open[])[]): void => {
    const done = [...parts];
    const todo = [...waiting];
    const forks = [...branches];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      document.work.spend(30);
      const { schema, inside } = next;
      if (schema === true) continue;
      if (schema === false) return;
      document.idOf(schema);
      const path = document.pathOf(schema);
      if (inside.includes(schema))
        throw new FrugalError("FRUGAL_BAD_ARGUMENT", `json-schema: $ref at ${path} refers to itself endlessly; correct it`);
      if (done.some((part) => part.schema === schema)) continue;
      const within = [...inside, schema];
      const at = (inner: unknown): Open => ({ schema: inner as Schema, inside: within });
      done.push({ schema, inside });
      const of = (word: string): unknown => (Object.hasOwn(schema, word) ? schema[word] : undefined);
      if (typesOf(done).length === 0) return;
      const reference = of("$ref");
      if (reference !== undefined) todo.push(at(document.resolve(reference as string, path)));
      for (const inner of (of("allOf") as Schema[] | undefined) ?? []) todo.push(at(inner));
      if (of("not") !== undefined) todo.push(at(opposite(of("not") as Schema, path)));
      if (of("anyOf") !== undefined) forks.push((of("anyOf") as Schema[]).map(at));
      const one = of("oneOf") as Schema[] | undefined;
      if (one !== undefined) forks.push(distinct(one, schema).map(at));
      const condition = of("if") as Schema | undefined;
      if (condition !== undefined && (of("then") !== undefined || of("else") !== undefined))
        forks.push([at({ allOf: [condition, of("then") ?? true] }), at({ allOf: [opposite(condition, path), of("else") ?? true] })]);
      for (const demand of dependencies(schema)) forks.push(demand.map(at));
    }
    const fork = forks.pop();
    if (fork !== undefined) {
      for (const option of fork) go(done, [option], forks);
      return;
    }
    if (found.length >= mostAlternatives)
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `json-schema: one value has more than ${mostAlternatives} alternatives; make it simpler`,
      );
    found.push(done);
  };

  /** The options of a oneOf as those of an anyOf: of two that may hold together, each is to hold without the other. */
  const distinct = (options: readonly Schema[], schema: SchemaObject): readonly Schema[] => {
    const { oneOf: _, ...rest } = schema;
    const others = options.map((): Schema[] => []);
    for (let i = 0; i < options.length; i++)
      for (let j = 0; j < i; j++) {
        if (apart([rest, options[i]!, options[j]!])) continue;
        others[i]!.push({ not: options[j]! });
        others[j]!.push({ not: options[i]! });
      }
    return options.map((option, i) => (others[i]!.length === 0 ? option : { allOf: [option, ...others[i]!] }));
  };

  go(
    [],
    schemas.map((schema) => ({ schema, inside: [] })),
    [],
  );
  return found;
}

/** What a value must do about properties that depend on others: for each, leave the one out or bring the others. */
function dependencies(schema: SchemaObject): Schema[][] {
  const found: Schema[][] = [];
  for (const word of ["dependentRequired", "dependentSchemas", "dependencies"]) {
    const map = Object.hasOwn(schema, word) && isObject(schema[word]) ? schema[word] : {};
    for (const [name, demand] of Object.entries(map)) {
      const names = Array.isArray(demand) ? (demand as string[]) : [];
      const absent: Schema = { properties: Object.fromEntries([[name, false]]) };
      const present: Schema = { type: "object", required: [name, ...names] };
      found.push([absent, Array.isArray(demand) ? present : { allOf: [present, demand as Schema] }]);
    }
  }
  return found;
}

/** The types that all parts allow; "integer" is a number. */
export function typesOf(parts: Alternative): readonly string[] {
  let types = everyType;
  for (const { schema } of parts) {
    if (!Object.hasOwn(schema, "type")) continue;
    const own = [schema["type"]].flat().map((name) => (name === "integer" ? "number" : name));
    types = types.filter((name) => own.includes(name));
  }
  return types;
}

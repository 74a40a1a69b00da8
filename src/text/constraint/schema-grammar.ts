/**
 * JSON Schema to a grammar: one rule for each set of schemas that a value has to fulfil at once, made when it is first asked for. What the
 * grammar allows fulfils the schema; where it can allow less than all that does, docs/constrained-output.md says so.
 */
import { choice, type Effort, type Expression, type Grammar, never, text } from "./expression.ts";
import { isPossible } from "./possible.ts";
import { anyValue, jsonInteger, jsonNumber, literal } from "./json-expressions.ts";
import { numberLanguage } from "./number-language.ts";
import { arrayExpression } from "./schema-array.ts";
import { type SchemaDocument, schemaDocument } from "./schema-document.ts";
import { type Alternative, flatten, typesOf } from "./schema-flatten.ts";
import { isObject, type Schema, type SchemaObject, unsupported } from "./schema-keywords.ts";
import { numberBounds } from "./schema-number.ts";
import { objectExpression } from "./schema-object.ts";
import { stringExpression } from "./schema-string.ts";
import { canonical, fulfils } from "./schema-values.ts";

/** What the writers of arrays and objects need. */
export interface SchemaRules {
  readonly document: SchemaDocument;
  /** A value that fulfils all these schemas. */
  value(schemas: readonly Schema[]): Expression;
  /** The expression as a rule of its own, for what stands at several places. */
  share(expression: Expression): Expression;
}

/** @throws FRUGAL_UNSUPPORTED naming the keyword and its place; FRUGAL_BAD_ARGUMENT for what is no schema or too much. */
export function schemaGrammar(schema: unknown, work: Effort): Grammar {
  const document = schemaDocument(schema, work);
  const rules = schemaRules(document, true);
  const root = rules.value([document.root]);
  return { rules: rules.finish(), root: root.kind === "rule" ? root.index : rules.add(root) };
}

interface GrowingRules extends SchemaRules {
  finish(): Expression[];
  add(rule: Expression): number;
}

/** @param strict options of a oneOf must be apart; without, they count as those of an anyOf, to find out whether they are. */
function schemaRules(document: SchemaDocument, strict: boolean): GrowingRules {
  const rules: Expression[] = [];
  const waiting: { readonly index: number; readonly schemas: readonly Schema[] }[] = [];
  const known = new Map<string, number>();
  const add = (rule: Expression): number => rules.push(rule) - 1;
  const self: GrowingRules = {
    document,
    value(schemas) {
      if (schemas.includes(false)) return never;
      const objects = [...new Set(schemas.filter((schema) => isObject(schema)))].filter((schema) => Object.keys(schema).length > 0);
      const key = objects
        .map((schema) => document.idOf(schema))
        .sort((a, b) => a - b)
        .join();
      let index = known.get(key);
      if (index === undefined) {
        index = add(never);
        known.set(key, index);
        if (objects.length === 0) rules[index] = anyValue({ kind: "rule", index });
        else waiting.push({ index, schemas: objects });
      }
      return { kind: "rule", index };
    },
    add,
    share: (expression) => ({ kind: "rule", index: add(expression) }),
    finish() {
      // Not by recursion: schemas may refer to one another in long chains.
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
        rules[next.index] = valueExpression(next.schemas, self, strict);
      return rules;
    },
  };
  return self;
}

function valueExpression(schemas: readonly Schema[], rules: SchemaRules, strict: boolean): Expression {
  const { document } = rules;
  const named = namedValues(schemas, document);
  if (named !== undefined) return values(named, schemas, document);
  const apart = (together: readonly Schema[]): boolean => {
    if (!strict) return true;
    const scratch = schemaRules(document, false);
    const root = scratch.value(together);
    return !isPossible(scratch.finish(), root);
  };
  const options = new Map<string, Expression>();
  for (const alternative of flatten(schemas, document, apart)) {
    const own = alternative.map(({ schema }) => schema);
    const listed = namedHere(own);
    if (listed !== undefined) {
      // The alternatives are tried one by one: an option's values stand together with what else holds.
      const expression = values(listed, own, document);
      options.set(`values ${canonical(listed.filter((value) => own.every((schema) => fulfils(value, schema, document))))}`, expression);
      continue;
    }
    for (const type of typesOf(alternative)) {
      const key = `${type} ${relevant(alternative, type, document)}`;
      if (!options.has(key)) options.set(key, ofType(type, alternative, rules));
    }
  }
  return choice(...options.values());
}

/** The values that enum or const name, where every value must be one of them. */
function namedValues(schemas: readonly Schema[], document: SchemaDocument, seen: Set<Schema> = new Set()): readonly unknown[] | undefined {
  for (const schema of schemas) {
    if (!isObject(schema) || seen.has(schema)) continue;
    seen.add(schema);
    document.idOf(schema);
    const own = namedHere([schema]);
    if (own !== undefined) return own;
    const further: Schema[] = Object.hasOwn(schema, "allOf") ? [...(schema["allOf"] as Schema[])] : [];
    if (Object.hasOwn(schema, "$ref")) further.push(document.resolve(schema["$ref"] as string, document.pathOf(schema)));
    const inner = namedValues(further, document, seen);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

function namedHere(schemas: readonly SchemaObject[]): readonly unknown[] | undefined {
  for (const schema of schemas) {
    if (Object.hasOwn(schema, "const")) return [schema["const"]];
    if (Object.hasOwn(schema, "enum")) return schema["enum"] as unknown[];
  }
  return undefined;
}

function values(named: readonly unknown[], schemas: readonly Schema[], document: SchemaDocument): Expression {
  const unique = new Map(named.map((value) => [canonical(value), value]));
  return choice(...[...unique.values()].filter((value) => schemas.every((schema) => fulfils(value, schema, document))).map(literal));
}

const wordsOf: Readonly<Record<string, RegExp>> = {
  null: /^$/u,
  boolean: /notValues/u,
  number: /^(?:type|multipleOf|.*(?:inimum|aximum)|.*notInteger|.*notValues)$/u,
  string: /Length$|pattern$|format$|notPattern|notFormat|notValues/u,
  array: /[iI]tems$|ontains$|notValues/u,
  object: /ropert|^required$|notValues/u,
};

/** What of an alternative matters for a type: alternatives that differ only in the rest are one. */
function relevant(alternative: Alternative, type: string, document: SchemaDocument): string {
  return alternative
    .filter(({ schema }) => Object.keys(schema).some((word) => wordsOf[type]!.test(word)))
    .map(({ schema }) => document.idOf(schema))
    .sort((a, b) => a - b)
    .join();
}

function ofType(type: string, alternative: Alternative, rules: SchemaRules): Expression {
  const { document } = rules;
  const excluded = alternative.flatMap(({ schema }) => (schema["\0notValues"] as readonly unknown[] | undefined) ?? []).map(canonical);
  const refuse = (): never => {
    throw unsupported(
      "not",
      document.pathOf(alternative[0]!.schema),
      `excludes single values of type ${type}, which cannot be enforced; list the allowed ones`,
    );
  };
  if (type === "null") return excluded.includes("null") ? never : text("null");
  if (type === "boolean") return choice(...["true", "false"].filter((value) => !excluded.includes(value)).map(text));
  if (type === "string") return stringExpression(alternative, document);
  if (type === "number") {
    if (excluded.some((value) => /^-?\d/u.test(value))) refuse();
    const bounds = numberBounds(alternative, document);
    if (bounds === undefined) return never;
    const { low, high, step, broken } = bounds;
    if (low === undefined && high === undefined && step === undefined && broken === undefined)
      return bounds.integer ? jsonInteger : jsonNumber;
    return { kind: "language", language: numberLanguage(bounds, document.work), spell: "plain" };
  }
  if (excluded.some((value) => value.startsWith(type === "array" ? "[" : "{"))) refuse();
  return type === "array" ? arrayExpression(alternative, rules) : objectExpression(alternative, rules);
}

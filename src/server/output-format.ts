/** Fields that say what a text must be: JSON, by a schema, an expression, a choice, a grammar. */
import { z } from "zod";
import type { Constraint } from "../text/constraint.ts";
import { HttpError } from "./errors.ts";
import { type Fields, flag, type Maybe, record } from "./schema.ts";

export interface ResponseFormat {
  readonly type: "text" | "json_object" | "json_schema";
  readonly json_schema?: Maybe<JsonSchemaFormat>;
}

export interface JsonSchemaFormat {
  readonly name?: Maybe<string>;
  readonly description?: Maybe<string>;
  readonly schema?: Maybe<Readonly<Record<string, unknown>>>;
  readonly strict?: Maybe<boolean>;
}

/** vLLM's form; exactly one. */
export interface StructuredOutputs {
  readonly json?: Maybe<string | Readonly<Record<string, unknown>>>;
  readonly json_object?: Maybe<boolean>;
  readonly regex?: Maybe<string>;
  readonly choice?: Maybe<readonly string[]>;
  readonly grammar?: Maybe<string>;
}

export interface FormatFields {
  readonly response_format?: Maybe<ResponseFormat>;
  readonly structured_outputs?: Maybe<StructuredOutputs>;
  readonly guided_json?: StructuredOutputs["json"];
  readonly guided_regex?: StructuredOutputs["regex"];
  readonly guided_choice?: StructuredOutputs["choice"];
  readonly guided_grammar?: StructuredOutputs["grammar"];
}

const object = z.record(z.string(), z.unknown());
const json = z.union([z.string(), object]).nullish();
const pattern = z.string().min(1).max(100_000).nullish();
const choices = z.array(z.string().min(1)).min(1).max(10_000).nullish();

export const formatFields: Fields<FormatFields> = {
  response_format: record<ResponseFormat>({
    type: z.enum(["text", "json_object", "json_schema"]),
    json_schema: record<JsonSchemaFormat>({
      name: z.string().max(64).nullish(),
      description: z.string().nullish(),
      schema: object.nullish(),
      strict: flag,
    }).nullish(),
  }).nullish(),
  structured_outputs: record<StructuredOutputs>({ json, json_object: flag, regex: pattern, choice: choices, grammar: pattern }).nullish(),
  guided_json: json,
  guided_regex: pattern,
  guided_choice: choices,
  guided_grammar: pattern,
};

/** The one constraint that a request asks for. @throws HttpError where it asks for several. */
export function constraintOf(fields: FormatFields): Constraint | undefined {
  const found = [
    ...formatConstraint(fields.response_format),
    ...structured("structured_outputs.", fields.structured_outputs ?? {}),
    ...structured("guided_", {
      json: fields.guided_json,
      regex: fields.guided_regex,
      choice: fields.guided_choice,
      grammar: fields.guided_grammar,
    }),
  ];
  if (found.length > 1)
    throw new HttpError(400, `${found[1]![0]}: is given beside ${found[0]![0]}; a text keeps to one of them`, { param: found[1]![0] });
  return found[0]?.[1];
}

type Found = readonly [field: string, constraint: Constraint];

function formatConstraint(format: Maybe<ResponseFormat>): readonly Found[] {
  if (format?.type === "json_object") return [["response_format", { kind: "json" }]];
  if (format?.type !== "json_schema") return [];
  const schema = format.json_schema?.schema;
  if (schema === undefined || schema === null)
    throw new HttpError(400, "response_format.json_schema.schema: is missing; give a JSON schema", {
      param: "response_format.json_schema.schema",
    });
  return [["response_format", { kind: "json-schema", schema }]];
}

function structured(prefix: string, { json: schema, json_object: isObject, regex, choice, grammar }: StructuredOutputs): readonly Found[] {
  const found: Found[] = [];
  if (typeof schema === "string" || (typeof schema === "object" && schema !== null))
    found.push([`${prefix}json`, { kind: "json-schema", schema: typeof schema === "string" ? parsed(`${prefix}json`, schema) : schema }]);
  if (isObject === true) found.push([`${prefix}json_object`, { kind: "json" }]);
  if (typeof regex === "string") found.push([`${prefix}regex`, { kind: "regex", pattern: regex }]);
  if (Array.isArray(choice)) found.push([`${prefix}choice`, { kind: "choice", choices: choice as readonly string[] }]);
  if (typeof grammar === "string") found.push([`${prefix}grammar`, { kind: "grammar", grammar }]);
  return found;
}

function parsed(field: string, schema: string): unknown {
  try {
    return JSON.parse(schema);
  } catch {
    throw new HttpError(400, `${field}: is text that is no JSON; give a JSON schema`, { param: field });
  }
}

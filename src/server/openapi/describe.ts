/** The API as OpenAPI 3.1, from the schemas that check requests. */
import { z } from "zod";
import { errorAnswer } from "./answers.ts";
import { type Operation, operations } from "./operations.ts";

/** What each status means, in all endpoints. */
const meanings: Readonly<Record<number, string>> = {
  200: "The answer",
  400: "The request is wrong; the message says how",
  401: "The request has no valid key",
  403: "The server does not allow this",
  404: "The model, or what else is named, is not there",
  413: "The body is too large",
  415: "The body is not JSON in UTF-8",
  429: "Too many wait already; come back after the seconds that Retry-After says",
  500: "A fault of the server",
  503: "The server shuts down, or takes no more for now",
};

/** Answers too are described as inputs are: a later server may say more in them. */
function toJson(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", target: "draft-2020-12" });
  return rest;
}

/** @param version of the server; @param hasKeys whether requests must carry one. */
export function describeApi(version: string, hasKeys: boolean): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of operations) (paths[operation.path] ??= {})[operation.method] = describe(operation, hasKeys);
  return {
    openapi: "3.1.0",
    info: {
      title: "Frugal",
      version,
      description:
        "Models in the shape of OpenAI's API. Unknown fields are errors; fields of the API that are not supported are refused by name.",
    },
    paths,
    components: {
      schemas: { Error: toJson(errorAnswer) },
      ...(hasKeys ? { securitySchemes: { key: { type: "http", scheme: "bearer" } } } : {}),
    },
  };
}

function describe(operation: Operation, hasKeys: boolean): object {
  const { body, answer, isOpen = false } = operation;
  const parameters = [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string", minLength: 1 },
    ...(operation.example === undefined ? {} : { example: operation.example }),
  }));
  return {
    operationId: `${operation.method}${operation.path.replace(/\W+(\w)/g, (_, first: string) => first.toUpperCase()).replace(/\W/g, "")}`,
    summary: operation.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: { "application/json": { schema: toJson(body.schema) } } } }),
    responses: Object.fromEntries(
      statusesOf(operation, hasKeys).map((status) => [
        status,
        {
          description: meanings[status]!,
          ...(status === 429 ? { headers: { "Retry-After": { schema: { type: "integer" } } } } : {}),
          content:
            status === 200
              ? {
                  ...(typeof answer === "string" ? { [answer]: {} } : { "application/json": { schema: toJson(answer) } }),
                  ...(operation.streams === true ? { "text/event-stream": {} } : {}),
                }
              : status === 503 && isOpen
                ? { "application/json": {} }
                : { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
        },
      ]),
    ),
    ...(hasKeys && !isOpen ? { security: [{ key: [] }] } : {}),
  };
}

function statusesOf({ path, body, statuses = [], isOpen = false }: Operation, hasKeys: boolean): number[] {
  return [
    200,
    ...(hasKeys && !isOpen ? [401] : []),
    ...(path.includes("{") ? [404] : []),
    ...(body === undefined ? [] : [400, 404, 413, 415, 429, 500]),
    ...(isOpen ? [] : [503]),
    ...statuses,
  ].sort((a, b) => a - b);
}

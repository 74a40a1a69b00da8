/** GET /openapi.json: it lists every route, and answers are as it says. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { type ServedModel, serveStories } from "../../testing/serving.ts";
import { operations } from "./openapi/operations.ts";
import { routes } from "./routes/index.ts";

let served: ServedModel;
beforeAll(async () => {
  served = await serveStories();
});
afterAll(() => served[Symbol.asyncDispose]());

interface Api {
  readonly openapi: string;
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly responses: object; readonly requestBody?: object; readonly security?: unknown }>>>
  >;
  readonly components: { readonly securitySchemes?: object };
}
const described = async (url: string, init?: RequestInit): Promise<Api> => (await (await fetch(`${url}/openapi.json`, init)).json()) as Api;

test("describes every route, and no other", async () => {
  const { openapi, paths } = await described(served.url);
  const context = {
    models: [{ name: "stories", model: served.model }],
    settings: { apiKeys: [] },
    observers: new Set(),
    onClose: new Set(),
  };
  const there = routes.flatMap((route) =>
    route(context as never).routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`),
  );
  const listed = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(openapi).toBe("3.1.0");
  expect(listed.toSorted()).toEqual([...new Set(there)].toSorted());
  const chat = paths["/v1/chat/completions"]!["post"]!;
  expect(Object.keys(chat.responses)).toEqual(["200", "400", "404", "413", "415", "429", "500", "503"]);
  expect(JSON.stringify(chat.requestBody)).toContain('"max_completion_tokens"');
});

test("asks for keys where the server does", async () => {
  await using locked = await serveStories({ apiKeys: ["secret"] });
  const { paths, components } = await described(locked.url, { headers: { authorization: "Bearer secret" } });
  expect(components.securitySchemes).toEqual({ key: { type: "http", scheme: "bearer" } });
  expect(paths["/v1/models"]!["get"]).toMatchObject({ security: [{ key: [] }], responses: { 401: {} } });
  expect(paths["/health"]!["get"]!.security).toBeUndefined();
});

test.each<[string, object | undefined]>([
  ["/v1/chat/completions", { messages: [{ role: "user", content: "Hi" }], max_tokens: 3, logprobs: true, top_logprobs: 1, n: 2 }],
  ["/v1/completions", { prompt: "Once", max_tokens: 3, logprobs: 1 }],
  ["/v1/responses", { input: "Hi", max_output_tokens: 3 }],
  ["/tokenize", { prompt: "Hi", return_token_strs: true }],
  ["/detokenize", { tokens: [5] }],
  ["/v1/models", undefined],
  ["/health", undefined],
  ["/ready", undefined],
  ["/version", undefined],
])("%s answers as described", async (path, body) => {
  const response = body === undefined ? await fetch(served.url + path) : await served.post(path, body);
  const operation = operations.find((one) => one.path === path && (one.method === "post") === (body !== undefined))!;
  const checked = (operation.answer as z.ZodType).safeParse(await response.json());
  expect(checked.error).toBeUndefined();
});

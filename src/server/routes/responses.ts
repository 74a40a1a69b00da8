/** POST /v1/responses, and GET and DELETE of one that was kept. */
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono } from "hono";
import type { GenerateOptions } from "../../serving/writer.ts";
import { answerId } from "../answer.ts";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";
import { eventStream } from "../event-stream.ts";
import { findModel } from "../find-model.ts";
import { chatLogprob } from "../logprobs.ts";
import { readJson } from "../read-json.ts";
import type { RequestScope } from "../request-scope.ts";
import { streamResponse } from "../responses/events.ts";
import { conversationOf, type InputItem, type OutputItem } from "../responses/items.ts";
import { outputOf, type Response } from "../responses/output.ts";
import { endedResponse, newResponse, type ResponseRecord } from "../responses/record.ts";
import { type ResponsesRequest, responsesRequest } from "../responses/request.ts";
import { createResponseStore, type ResponseStore, type StoredResponse } from "../responses/store.ts";
import { toolOptions } from "../responses/tools.ts";
import { startTexts } from "../run-text.ts";
import { optionsOf } from "../text-fields.ts";

export function responses(context: ServerContext): Hono<ServerEnv> {
  const store = createResponseStore();
  return new Hono<ServerEnv>()
    .post("/v1/responses", async (c) => {
      const scope = c.get("scope");
      const request = await readJson(scope, responsesRequest, context.settings.bodyLimit);
      const items = itemsOf(store, scope, request);
      const started = await start(context, scope, request, items);
      const keep = (response: ResponseRecord): void => {
        if (request.store !== false) store.put({ response, items: [...items, ...response.output], tenant: scope.tenant });
      };
      if (request.stream === true) {
        await stream(context, scope, started, keep);
        return RESPONSE_ALREADY_SENT;
      }
      const result = await started.generation;
      const response = endedResponse(started.begun, outputOf(started, result, started.calls !== "none"), result);
      keep(response);
      return c.json(response);
    })
    .get("/v1/responses/:id", (c) => c.json(find(store, c.get("scope"), c.req.param("id")).response))
    .delete("/v1/responses/:id", (c) => {
      const id = c.req.param("id");
      if (!store.remove(id, c.get("scope").tenant)) throw missing(id, "id");
      return c.json({ id, object: "response", deleted: true });
    });
}

async function start(
  context: ServerContext,
  scope: RequestScope,
  request: ResponsesRequest,
  items: readonly (InputItem | OutputItem)[],
): Promise<Response> {
  const target = findModel(context, request.model);
  const tokenizer = await target.model.tokenizer();
  const wantsLogprobs = (request.include?.length ?? 0) > 0 || (request.top_logprobs ?? 0) > 0;
  const { options, calls } = toolOptions(request);
  const all: GenerateOptions = {
    ...optionsOf(request, scope, 0),
    ...options,
    ...(typeof request.max_output_tokens === "number" ? { maxTokens: request.max_output_tokens } : {}),
    ...(wantsLogprobs ? { logprobs: request.top_logprobs ?? 0 } : {}),
  };
  const [text] = await startTexts(context, scope, target, {
    prompts: [conversationOf(request.instructions, items)],
    choices: 1,
    options: () => all,
  });
  const { generation } = text!;
  return {
    begun: newResponse(request, target.name),
    generation,
    messageId: answerId("msg"),
    calls,
    toolNames: (request.tools ?? []).map(({ name }) => name),
    logprobOf: (part) => (wantsLogprobs ? [chatLogprob(tokenizer, part)] : []),
  };
}

/** The input behind what came before it; instructions are not carried over. */
function itemsOf(store: ResponseStore, scope: RequestScope, request: ResponsesRequest): readonly (InputItem | OutputItem)[] {
  const { input, previous_response_id: previous } = request;
  const own: readonly InputItem[] = typeof input === "string" ? [{ role: "user", content: input }] : input;
  if (!previous) return own;
  return [...find(store, scope, previous, "previous_response_id").items, ...own];
}

function find(store: ResponseStore, { tenant }: RequestScope, id: string, param = "id"): StoredResponse {
  const found = store.get(id, tenant);
  if (found === undefined) throw missing(id, param);
  return found;
}

const missing = (id: string, param: string): HttpError =>
  new HttpError(
    404,
    `responses: there is no ${JSON.stringify(id.slice(0, 100))}; it was not stored, or made room for newer ones: send the whole conversation`,
    {
      code: "response_not_found",
      param,
    },
  );

async function stream(
  context: ServerContext,
  scope: RequestScope,
  started: Response,
  keep: (response: ResponseRecord) => void,
): Promise<void> {
  const events = eventStream(scope, context.settings);
  try {
    keep(await streamResponse(events, started));
    events.end("");
  } catch (error) {
    scope.abort(error);
    if (!events.begun) throw error;
    scope.failure = error;
    events.end("");
  }
}

/** POST /v1/chat/completions: answers a conversation. */
import { Hono } from "hono";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { z } from "zod";
import type { GenerationResult } from "../../serving/generation.ts";
import type { ChatMessage } from "../../serving/prompt.ts";
import type { GenerateOptions } from "../../serving/writer.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { answerId, seconds, timingsOf, usageOf } from "../answer.ts";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";
import { eventStream } from "../event-stream.ts";
import { findModel } from "../find-model.ts";
import { chatLogprob } from "../logprobs.ts";
import { type Message, messageSchema, messagesOf } from "../messages.ts";
import { readJson } from "../read-json.ts";
import type { RequestScope } from "../request-scope.ts";
import { startText } from "../run-text.ts";
import { type BodyShape, type Fields, flag, type Maybe, only, record, text, whole } from "../schema.ts";
import { optionsOf, refusedFields, type TextFields, textFields, tokenLimit } from "../text-fields.ts";

/** A request for a chat completion. */
export interface ChatRequest extends TextFields {
  readonly messages: readonly Message[];
  readonly max_completion_tokens?: Maybe<number>;
  readonly max_tokens?: Maybe<number>;
  readonly logprobs?: Maybe<boolean>;
  readonly top_logprobs?: Maybe<number>;
  readonly metadata?: Maybe<Readonly<Record<string, string>>>;
  readonly modalities?: Maybe<readonly "text"[]>;
  readonly store?: Maybe<boolean>;
  readonly service_tier?: Maybe<string>;
  readonly safety_identifier?: Maybe<string>;
  readonly prompt_cache_key?: Maybe<string>;
  readonly prompt_cache_retention?: Maybe<string>;
  readonly verbosity?: Maybe<string>;
  readonly reasoning_effort?: Maybe<string>;
  readonly chat_template_kwargs?: Maybe<Readonly<Record<string, unknown>>>;
}

const fields: Fields<ChatRequest> = {
  messages: z.array(messageSchema).min(1).max(10_000),
  ...textFields,
  max_completion_tokens: whole(1, 2 ** 31),
  max_tokens: whole(1, 2 ** 31),
  logprobs: flag,
  top_logprobs: whole(0, 20),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  modalities: z
    .array(z.literal("text", { error: "only text is written here" }))
    .min(1)
    .nullish(),
  store: only(false, "answers are not stored; leave it out"),
  service_tier: only(["auto", "default"], "there is one tier; leave it out"),
  safety_identifier: text,
  prompt_cache_key: text,
  prompt_cache_retention: text,
  verbosity: only("medium", "the model has no such setting; ask for it in a message"),
  reasoning_effort: only(["none", "minimal", "low", "medium", "high"], "give none, minimal, low, medium or high"),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
};

export const chatRequest: BodyShape<ChatRequest> = {
  schema: record<ChatRequest>(fields),
  refused: {
    ...refusedFields,
    audio: "only text is written here",
    functions: "take tools",
    function_call: "take tool_choice",
    web_search_options: "there is no web search here",
    prediction: "leave it out; texts are predicted from the prompt by themselves",
    moderation: "there is no moderation here",
    prompt_cache_options: "prompts are cached by themselves; leave it out",
    tools: "tools are not supported yet",
    tool_choice: "tools are not supported yet",
    parallel_tool_calls: "tools are not supported yet",
    response_format: "constrained output is not supported yet",
  },
};

export function chatCompletions(context: ServerContext): Hono<ServerEnv> {
  return new Hono<ServerEnv>().post("/v1/chat/completions", async (c) => {
    const scope = c.get("scope");
    const request = await readJson(scope, chatRequest, context.settings.bodyLimit);
    const answer = await start(context, scope, request);
    if (request.stream !== true) return c.json(await answerWhole(answer));
    await stream(context, scope, answer, request.stream_options?.include_usage === true);
    return RESPONSE_ALREADY_SENT;
  });
}

interface Answer {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string;
  readonly tokenizer: Tokenizer;
  readonly wantsLogprobs: boolean;
  readonly texts: readonly Awaited<ReturnType<typeof startText>>[];
}

async function start(context: ServerContext, scope: RequestScope, request: ChatRequest): Promise<Answer> {
  const target = findModel(context, request.model);
  if (typeof request.top_logprobs === "number" && request.logprobs !== true)
    throw new HttpError(400, "top_logprobs: is given without logprobs; set logprobs to true", { param: "top_logprobs" });
  const messages = messagesOf(request.messages) as readonly ChatMessage[];
  const limit = tokenLimit(request.max_completion_tokens, request.max_tokens);
  const shared: GenerateOptions = {
    ...(limit === undefined ? {} : { maxTokens: limit }),
    ...(request.logprobs === true ? { logprobs: request.top_logprobs ?? 0 } : {}),
    ...(request.chat_template_kwargs ? { templateVariables: request.chat_template_kwargs } : {}),
  };
  const tokenizer = await target.model.tokenizer();
  const texts = await Promise.all(
    Array.from({ length: request.n ?? 1 }, (_, choice) =>
      startText(context, scope, target, messages, { ...optionsOf(request, scope, choice), ...shared }),
    ),
  );
  return {
    id: answerId("chatcmpl"),
    created: seconds(),
    model: target.name,
    fingerprint: context.fingerprint,
    tokenizer,
    wantsLogprobs: request.logprobs === true,
    texts,
  };
}

async function answerWhole(answer: Answer): Promise<object> {
  const results = await Promise.all(answer.texts.map(({ generation }) => generation));
  return {
    id: answer.id,
    object: "chat.completion",
    created: answer.created,
    model: answer.model,
    system_fingerprint: answer.fingerprint,
    choices: results.map((result, index) => ({
      index,
      message: { role: "assistant", content: result.text, refusal: null },
      logprobs: answer.wantsLogprobs ? { content: result.parts.map((part) => chatLogprob(answer.tokenizer, part)), refusal: null } : null,
      finish_reason: result.finishReason,
    })),
    usage: usageOf(results, results.length),
    timings: timingsOf(results[0]!),
  };
}

async function stream(context: ServerContext, scope: RequestScope, answer: Answer, wantsUsage: boolean): Promise<void> {
  const events = eventStream(scope, context.settings);
  const head = `{"id":"${answer.id}","object":"chat.completion.chunk","created":${answer.created},"model":${JSON.stringify(answer.model)},"system_fingerprint":"${answer.fingerprint}","choices":[`;
  const usage = wantsUsage ? ',"usage":null' : "";
  const choice = (index: number, delta: string, logprobs: string, finish: string, more = ""): void =>
    events.send(`${head}{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${finish}}]${usage}${more}}`);

  const write = async (index: number): Promise<GenerationResult> => {
    const { generation } = answer.texts[index]!;
    let isFirst = true;
    let waiting: object[] = [];
    for await (const part of generation) {
      if (isFirst) choice(index, '{"role":"assistant","content":"","refusal":null}', "null", "null");
      isFirst = false;
      if (answer.wantsLogprobs) waiting.push(chatLogprob(answer.tokenizer, part));
      if (part.text === "") continue;
      const logprobs = answer.wantsLogprobs ? JSON.stringify({ content: waiting, refusal: null }) : "null";
      waiting = [];
      choice(index, `{"content":${JSON.stringify(part.text)}}`, logprobs, "null");
      await events.ready();
    }
    const result = await generation;
    const rest = waiting.length > 0 ? JSON.stringify({ content: waiting, refusal: null }) : "null";
    choice(index, "{}", rest, `"${result.finishReason}"`, `,"timings":${JSON.stringify(timingsOf(result))}`);
    return result;
  };

  try {
    const results = await Promise.all(answer.texts.map((_, index) => write(index)));
    if (wantsUsage) events.send(`${head}],"usage":${JSON.stringify(usageOf(results, results.length))}}`);
    events.end();
  } catch (error) {
    // Before the first event it is an ordinary error; the other texts end with the request's signal.
    scope.abort(error);
    if (!events.begun) throw error;
    scope.failure = error;
    events.fail(error);
  }
}

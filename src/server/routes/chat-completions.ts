/** POST /v1/chat/completions: answers a conversation. */
import { Hono } from "hono";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { z } from "zod";
import type { GenerateOptions } from "../../serving/writer.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { holdCalls } from "../../text/hold-calls.ts";
import { answerId, seconds, timingsOf, usageOf } from "../answer.ts";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";
import { eventStream } from "../event-stream.ts";
import { findModel } from "../find-model.ts";
import { chatLogprob } from "../logprobs.ts";
import { type Message, messageSchema, messagesOf } from "../messages.ts";
import { constraintOf, type FormatFields, formatFields } from "../output-format.ts";
import { readJson } from "../read-json.ts";
import type { RequestScope } from "../request-scope.ts";
import { type StartedText, startTexts } from "../run-text.ts";
import { type BodyShape, type Fields, flag, type Maybe, only, record, text, whole } from "../schema.ts";
import { streamTexts } from "../stream-texts.ts";
import { answeredCall, type ToolFields, toolFields, type ToolUse, toolUse } from "../tool-fields.ts";
import { optionsOf, refusedFields, type TextFields, textFields, tokenLimit } from "../text-fields.ts";

/** A request for a chat completion. */
export interface ChatRequest extends TextFields, ToolFields, FormatFields {
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
  readonly add_generation_prompt?: Maybe<boolean>;
  readonly continue_final_message?: Maybe<boolean>;
}

const fields: Fields<ChatRequest> = {
  messages: z.array(messageSchema).min(1).max(10_000),
  ...textFields,
  ...toolFields,
  ...formatFields,
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
  add_generation_prompt: only(true, "a reply is always begun; take /v1/completions for a prompt of your own"),
  continue_final_message: only(false, "the last message is not continued; take /v1/completions for a prompt of your own"),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
};

export const chatRequest: BodyShape<ChatRequest> = {
  schema: record<ChatRequest>(fields),
  refused: {
    ...refusedFields,
    chat_template: "the model's own is used; take /v1/completions for a prompt of your own",
    documents: "put them into a message",
    echo: "take /v1/completions",
    audio: "only text is written here",
    functions: "take tools",
    function_call: "take tool_choice",
    web_search_options: "there is no web search here",
    prediction: "leave it out; texts are predicted from the prompt by themselves",
    moderation: "there is no moderation here",
    prompt_cache_options: "prompts are cached by themselves; leave it out",
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
  readonly tools: ToolUse;
  readonly texts: readonly StartedText[];
}

async function start(context: ServerContext, scope: RequestScope, request: ChatRequest): Promise<Answer> {
  const target = findModel(context, request.model);
  if (typeof request.top_logprobs === "number" && request.logprobs !== true)
    throw new HttpError(400, "top_logprobs: is given without logprobs; set logprobs to true", { param: "top_logprobs" });
  const limit = tokenLimit(request.max_completion_tokens, request.max_tokens);
  const tools = toolUse(request);
  const constraint = tools.constraint ?? constraintOf(request);
  const shared: GenerateOptions = {
    ...(tools.shown.length === 0 ? {} : { tools: tools.shown }),
    ...(constraint === undefined ? {} : { constraint }),
    ...(limit === undefined ? {} : { maxTokens: limit }),
    ...(request.logprobs === true ? { logprobs: request.top_logprobs ?? 0 } : {}),
    ...(request.chat_template_kwargs ? { templateVariables: request.chat_template_kwargs } : {}),
  };
  const tokenizer = await target.model.tokenizer();
  const texts = await startTexts(context, scope, target, {
    prompts: [messagesOf(request.messages)],
    choices: request.n ?? 1,
    options: (choice) => ({ ...optionsOf(request, scope, choice), ...shared }),
  });
  return {
    id: answerId("chatcmpl"),
    created: seconds(),
    model: target.name,
    fingerprint: context.fingerprint,
    tokenizer,
    wantsLogprobs: request.logprobs === true,
    tools,
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
    choices: results.map((result, index) => {
      const calls = answer.tools.calls(result.text)?.map(answeredCall);
      return {
        index,
        message: {
          role: "assistant",
          ...(calls === undefined ? { content: result.text } : { content: null, tool_calls: calls }),
          refusal: null,
        },
        logprobs: answer.wantsLogprobs ? { content: result.parts.map((part) => chatLogprob(answer.tokenizer, part)), refusal: null } : null,
        finish_reason: calls === undefined ? result.finishReason : "tool_calls",
      };
    }),
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

  const waiting: object[][] = answer.texts.map(() => []);
  const begun = answer.texts.map(() => false);
  /** What may yet turn out to be calls of tools. */
  const holds = answer.texts.map(() => holdCalls(answer.tools.wanted));
  const logprobs = (index: number): string => {
    const content = waiting[index]!;
    if (content.length === 0) return "null";
    waiting[index] = [];
    return JSON.stringify({ content, refusal: null });
  };
  const begin = (index: number): void => {
    if (!begun[index]) choice(index, '{"role":"assistant","content":"","refusal":null}', "null", "null");
    begun[index] = true;
  };
  const say = (index: number, text: string): void => {
    if (text !== "") choice(index, `{"content":${JSON.stringify(text)}}`, logprobs(index), "null");
  };
  await streamTexts(scope, events, answer.texts, {
    part(index, part) {
      begin(index);
      if (answer.wantsLogprobs) waiting[index]!.push(chatLogprob(answer.tokenizer, part));
      say(index, holds[index]!.push(part.text));
    },
    finished(index, result) {
      begin(index);
      const calls = answer.tools.calls(result.text)?.map(answeredCall);
      if (calls === undefined) say(index, holds[index]!.isHolding() ? result.text : "");
      else choice(index, JSON.stringify({ tool_calls: calls.map((call, i) => ({ index: i, ...call })) }), logprobs(index), "null");
      const reason = calls === undefined ? result.finishReason : "tool_calls";
      choice(index, "{}", logprobs(index), `"${reason}"`, `,"timings":${JSON.stringify(timingsOf(result))}`);
    },
    completed(results) {
      if (wantsUsage) events.send(`${head}],"usage":${JSON.stringify(usageOf(results, results.length))}}`);
    },
  });
}

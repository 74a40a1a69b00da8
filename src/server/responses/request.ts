/** What POST /v1/responses takes. */
import { z } from "zod";
import { type BodyShape, type Fields, flag, type Maybe, only, record, text, whole } from "../schema.ts";
import { refusedFields, type TextFields, textFields } from "../text-fields.ts";
import { type InputItem, inputItem } from "./items.ts";

export interface TextFormat {
  readonly type: "text" | "json_object" | "json_schema";
  readonly name?: Maybe<string>;
  readonly description?: Maybe<string>;
  readonly schema?: Maybe<Readonly<Record<string, unknown>>>;
  readonly strict?: Maybe<boolean>;
}

export interface FunctionTool {
  readonly type: "function";
  readonly name: string;
  readonly description?: Maybe<string>;
  readonly parameters?: Maybe<Readonly<Record<string, unknown>>>;
  readonly strict?: Maybe<boolean>;
}

export type ToolChoice = "none" | "auto" | "required" | { readonly type: "function"; readonly name: string };

export interface ResponsesRequest extends Omit<TextFields, "n" | "stop" | "stream_options"> {
  readonly input: string | readonly InputItem[];
  readonly instructions?: Maybe<string>;
  readonly max_output_tokens?: Maybe<number>;
  readonly previous_response_id?: Maybe<string>;
  readonly store?: Maybe<boolean>;
  readonly text?: Maybe<{ readonly format?: Maybe<TextFormat>; readonly verbosity?: Maybe<string> }>;
  readonly tools?: Maybe<readonly FunctionTool[]>;
  readonly tool_choice?: Maybe<ToolChoice>;
  readonly parallel_tool_calls?: Maybe<boolean>;
  readonly metadata?: Maybe<Readonly<Record<string, string>>>;
  readonly top_logprobs?: Maybe<number>;
  readonly include?: Maybe<readonly string[]>;
  readonly truncation?: Maybe<string>;
  readonly reasoning?: Maybe<{ readonly effort?: Maybe<string>; readonly summary?: Maybe<string> }>;
  readonly background?: Maybe<boolean>;
  readonly service_tier?: Maybe<string>;
  readonly safety_identifier?: Maybe<string>;
  readonly prompt_cache_key?: Maybe<string>;
  readonly prompt_cache_retention?: Maybe<string>;
  readonly stream_options?: Maybe<{ readonly include_obfuscation?: Maybe<boolean> }>;
}

const format: z.ZodType<TextFormat> = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    name: z.string().min(1).max(64),
    description: text,
    schema: z.record(z.string(), z.unknown()),
    strict: flag,
  }),
]) as unknown as z.ZodType<TextFormat>;

const tool: z.ZodType<FunctionTool> = record<FunctionTool>({
  type: z.literal("function", { error: "only tools of type function are called here; run the others yourself" }),
  name: z.string().regex(/^[\w.-]{1,64}$/),
  description: text,
  parameters: z.record(z.string(), z.unknown()).nullish(),
  strict: flag,
});

const { n: _n, stop: _stop, stream_options: _options, ...shared } = textFields;

const fields: Fields<ResponsesRequest> = {
  input: z.union([z.string(), z.array(inputItem).min(1).max(10_000)]),
  ...shared,
  instructions: text,
  max_output_tokens: whole(1, 2 ** 31),
  previous_response_id: text,
  store: flag,
  text: record<NonNullable<ResponsesRequest["text"]>>({
    format: format.nullish(),
    verbosity: only("medium", "the model has no such setting; ask for it in a message"),
  }).nullish(),
  tools: z.array(tool).max(128).nullish(),
  tool_choice: z.union([z.enum(["none", "auto", "required"]), z.strictObject({ type: z.literal("function"), name: z.string() })]).nullish(),
  parallel_tool_calls: flag,
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  top_logprobs: whole(0, 20),
  include: z
    .array(z.literal("message.output_text.logprobs", { error: "only message.output_text.logprobs can be included here" }))
    .nullish(),
  truncation: only("disabled", "prompts are never cut; shorten the input"),
  reasoning: record<NonNullable<ResponsesRequest["reasoning"]>>({
    effort: only(["none", "minimal", "low", "medium", "high"], "give none, minimal, low, medium or high"),
    summary: only("auto", "nothing is summarised here; leave it out"),
  }).nullish(),
  background: only(false, "nothing runs in the background here; leave it out, and stream"),
  service_tier: only(["auto", "default"], "there is one tier; leave it out"),
  safety_identifier: text,
  prompt_cache_key: text,
  prompt_cache_retention: text,
  stream_options: record<{ include_obfuscation?: Maybe<boolean> }>({ include_obfuscation: flag }).nullish(),
};

export const responsesRequest: BodyShape<ResponsesRequest> = {
  schema: record<ResponsesRequest>(fields),
  refused: {
    ...refusedFields,
    n: "a response is one; ask several times",
    stop: "take /v1/chat/completions for stop strings",
    conversation: "take previous_response_id, or send the whole conversation",
    prompt: "there are no stored prompts here; send instructions and input",
    max_tool_calls: "tools are called by the client, who can count",
    context_management: "prompts are never cut; shorten the input",
    moderation: "there is no moderation here",
    prompt_cache_options: "prompts are cached by themselves; leave it out",
    max_tokens: "is called max_output_tokens here",
  },
};

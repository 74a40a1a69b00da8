/** Messages of a conversation, as requests bring them and as templates take them. */
import { z } from "zod";
import type { ChatMessage } from "../serving/prompt.ts";
import { usualRoles } from "../text/chat-template.ts";
import { type Fields, type Maybe, only, record, text } from "./schema.ts";

export interface ContentPart {
  readonly type: string;
  readonly text?: Maybe<string>;
}

export interface Message {
  readonly role: string;
  readonly content?: Maybe<string | readonly ContentPart[]>;
  readonly name?: Maybe<string>;
  readonly refusal?: Maybe<string>;
  readonly reasoning_content?: Maybe<string>;
  readonly tool_calls?: Maybe<readonly unknown[]>;
  readonly tool_call_id?: Maybe<string>;
  readonly annotations?: Maybe<readonly unknown[]>;
  readonly audio?: Maybe<never>;
  readonly function_call?: Maybe<never>;
}

const part = z.object({ type: only("text", "only parts of type text are read here; describe the rest in words"), text: z.string() });

const fields: Fields<Message> = {
  // Refused with the nearest where the template is rendered; the description of the API lists them.
  role: z
    .string()
    .min(1)
    .max(64)
    .meta({ enum: [...usualRoles] }),
  content: z.union([z.string(), z.array(part as unknown as z.ZodType<ContentPart>).min(1)]).nullish(),
  name: text,
  refusal: text,
  reasoning_content: text,
  tool_calls: z.array(z.unknown()).nullish(),
  tool_call_id: text,
  annotations: z.array(z.unknown()).nullish(),
  audio: z.null({ error: "sound is not read here; give text" }).optional(),
  function_call: z.null({ error: "is an old form; give tool_calls" }).optional(),
};

/** Of the description: the template wants a content, or calls. */
const given = (name: string, types: readonly string[]): object => ({ required: [name], properties: { [name]: { type: types } } });

export const messageSchema: z.ZodType<Message> = record<Message>(fields).meta({
  anyOf: [given("content", ["string", "array"]), given("tool_calls", ["array"])],
});

/** Text parts are joined by lines; what templates don't read is left out. */
export function messagesOf(messages: readonly Message[]): readonly ChatMessage[] {
  return messages.map(({ role, content, annotations: _, audio: _1, function_call: _2, refusal, ...others }) => {
    const said = Array.isArray(content) ? content.map((piece: ContentPart) => piece.text ?? "").join("\n") : (content ?? refusal);
    const rest = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== null && value !== undefined));
    if (Array.isArray(rest["tool_calls"])) rest["tool_calls"] = (rest["tool_calls"] as readonly unknown[]).map(withArguments);
    return { ...rest, role, content: (said as string | null | undefined) ?? null };
  });
}

/** Requests carry a call's arguments as JSON text; templates expect the object. */
function withArguments(call: unknown): unknown {
  if (typeof call !== "object" || call === null || !("function" in call)) return call;
  const called = call.function as { readonly arguments?: unknown } | null;
  if (typeof called?.arguments !== "string") return call;
  try {
    return { ...call, function: { ...called, arguments: JSON.parse(called.arguments) as unknown } };
  } catch {
    return call;
  }
}

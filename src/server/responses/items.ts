/** Items of a response's input and output, and the conversation that they are. */
import { z } from "zod";
import type { ChatMessage } from "../../serving/prompt.ts";
import { type Maybe, only, text } from "../schema.ts";

interface TextPart {
  readonly type: "input_text" | "output_text" | "text";
  readonly text: string;
}

interface MessageItem {
  readonly type?: Maybe<"message">;
  readonly role: "user" | "assistant" | "system" | "developer";
  readonly content: string | readonly TextPart[];
}

interface CallItem {
  readonly type: "function_call";
  readonly call_id: string;
  readonly name: string;
  readonly arguments: string;
}

interface CallOutputItem {
  readonly type: "function_call_output";
  readonly call_id: string;
  readonly output: string | readonly TextPart[];
}

/** What a client sends back of our output carries more; that is left out. */
export type InputItem = MessageItem | CallItem | CallOutputItem;

const onlyText = "only text is read here; describe the rest in words";
// Parts of our own output come back with annotations and log probabilities.
const part = z.object({
  type: z.enum(["input_text", "output_text", "text"], { error: onlyText }),
  text: z.string(),
  annotations: z.array(z.unknown()).optional(),
  logprobs: z.array(z.unknown()).optional(),
});
const said = z.union([z.string(), z.array(part).min(1)]);
const itemState = { id: text, status: only(["in_progress", "completed", "incomplete"], "give in_progress, completed or incomplete") };

export const inputItem: z.ZodType<InputItem> = z.union([
  z.strictObject({
    type: z.literal("message").optional(),
    role: z.enum(["user", "assistant", "system", "developer"]),
    content: said,
    phase: text,
    ...itemState,
  }),
  z.strictObject({ type: z.literal("function_call"), call_id: z.string(), name: z.string(), arguments: z.string(), ...itemState }),
  z.strictObject({ type: z.literal("function_call_output"), call_id: z.string(), output: said, ...itemState }),
]) as unknown as z.ZodType<InputItem>;

export type OutputItem =
  | {
      readonly id: string;
      readonly type: "message";
      readonly role: "assistant";
      readonly status: "in_progress" | "completed" | "incomplete";
      readonly content: readonly OutputText[];
    }
  | {
      readonly id: string;
      readonly type: "function_call";
      readonly status: "in_progress" | "completed";
      readonly call_id: string;
      readonly name: string;
      readonly arguments: string;
    };

export interface OutputText {
  readonly type: "output_text";
  readonly text: string;
  readonly annotations: readonly [];
  readonly logprobs: readonly object[];
}

/** The conversation, instructions first. Calls that follow one another are of one message. */
export function conversationOf(instructions: Maybe<string>, items: readonly (InputItem | OutputItem)[]): ChatMessage[] {
  const messages: ChatMessage[] = instructions ? [{ role: "system", content: instructions }] : [];
  for (const item of items)
    if (item.type === "function_call") {
      const call = { id: item.call_id, type: "function", function: { name: item.name, arguments: argumentsOf(item.arguments) } };
      const last = messages.at(-1);
      if (last?.role === "assistant")
        messages[messages.length - 1] = { ...last, tool_calls: [...((last["tool_calls"] as unknown[]) ?? []), call] };
      else messages.push({ role: "assistant", content: "", tool_calls: [call] });
    } else if (item.type === "function_call_output")
      messages.push({ role: "tool", tool_call_id: item.call_id, content: textOf(item.output) });
    else messages.push({ role: item.role === "developer" ? "system" : item.role, content: textOf(item.content) });
  return messages;
}

const textOf = (content: string | readonly { readonly text: string }[]): string =>
  typeof content === "string" ? content : content.map((piece) => piece.text).join("\n");

/** Templates write them as JSON themselves. */
function argumentsOf(written: string): unknown {
  try {
    return JSON.parse(written);
  } catch {
    return written;
  }
}

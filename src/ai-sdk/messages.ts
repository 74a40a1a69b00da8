/** The AI SDK's prompts as conversations in OpenAI's form, which the templates of models read. */
import type { LanguageModelV3Message, LanguageModelV3Prompt, LanguageModelV3ToolResultPart } from "@ai-sdk/provider";
import { FrugalError } from "../tensor/error.ts";
import type { ChatMessage } from "../text/chat-template.ts";

/** @throws FRUGAL_UNSUPPORTED for files and approvals, which text models cannot read. */
export function messagesOf(prompt: LanguageModelV3Prompt): ChatMessage[] {
  return prompt.flatMap((message, i) => messagesOfOne(message, i));
}

function messagesOfOne(message: LanguageModelV3Message, index: number): ChatMessage[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content }];
    case "user":
      return [{ role: "user", content: message.content.map((part) => (part.type === "text" ? part.text : refuse(part, index))).join("") }];
    case "assistant":
      return [assistantMessage(message, index)];
    case "tool":
      return message.content.map((part) => (part.type === "tool-result" ? toolMessage(part, index) : refuse(part, index)));
  }
}

function assistantMessage({ content }: LanguageModelV3Message & { role: "assistant" }, index: number): ChatMessage {
  const textOf = (type: "text" | "reasoning"): string => content.map((part) => (part.type === type ? part.text : "")).join("");
  for (const part of content) if (part.type === "file" || part.type === "tool-result") refuse(part, index);
  const reasoning = textOf("reasoning");
  const calls = content.flatMap((part) =>
    part.type === "tool-call" ? [{ id: part.toolCallId, type: "function", function: { name: part.toolName, arguments: part.input } }] : [],
  );
  return {
    role: "assistant",
    content: textOf("text"),
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function toolMessage({ toolCallId, toolName, output }: LanguageModelV3ToolResultPart, index: number): ChatMessage {
  const written = (): string => {
    switch (output.type) {
      case "text":
      case "error-text":
        return output.value;
      case "json":
      case "error-json":
        return JSON.stringify(output.value);
      case "execution-denied":
        return output.reason ?? "The call was denied.";
      case "content":
        return output.value.map((part) => (part.type === "text" ? part.text : refuse(part, index))).join("");
    }
  };
  return { role: "tool", tool_call_id: toolCallId, name: toolName, content: written() };
}

function refuse({ type }: { readonly type: string }, index: number): never {
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `ai-sdk: message ${index} has a part of type ${JSON.stringify(type)}, but the model reads text; leave it out`,
    {
      message: index,
      type,
    },
  );
}

/** What a generation becomes as output of a response: a message, or calls of functions. */
import type { Generation, GenerationResult, Part } from "../../serving/generation.ts";
import type { CallsWanted } from "../../text/hold-calls.ts";
import { parseToolCalls } from "../../text/tools.ts";
import { answerId } from "../answer.ts";
import type { ChatLogprob } from "../logprobs.ts";
import type { OutputItem } from "./items.ts";
import type { ResponseRecord } from "./record.ts";

export type PartLogprob = ChatLogprob;

/** A response under way. */
export interface Response {
  readonly begun: ResponseRecord;
  readonly generation: Generation;
  readonly messageId: string;
  readonly calls: CallsWanted;
  /** Of the tools that may be called. */
  readonly toolNames: readonly string[];
  /** Empty where none are asked for. */
  logprobOf(part: Part): readonly PartLogprob[];
}

/** `mayCall`: whether the text is to be read as calls. */
export function outputOf(response: Response, result: GenerationResult, mayCall: boolean): readonly OutputItem[] {
  const calls = mayCall ? (parseToolCalls(result.text, response.toolNames) ?? []) : [];
  if (calls.length > 0)
    return calls.map(({ name, arguments: given }) => ({
      id: answerId("fc"),
      type: "function_call",
      status: "completed",
      call_id: answerId("call"),
      name,
      arguments: given,
    }));
  return [
    {
      id: response.messageId,
      type: "message",
      role: "assistant",
      status: result.finishReason === "stop" ? "completed" : "incomplete",
      content: [
        { type: "output_text", text: result.text, annotations: [], logprobs: result.parts.flatMap((part) => response.logprobOf(part)) },
      ],
    },
  ];
}

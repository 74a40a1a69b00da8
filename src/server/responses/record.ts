/** A response as it is sent: at its beginning, and when it has ended. */
import type { GenerationResult } from "../../serving/generation.ts";
import { answerId, seconds } from "../answer.ts";
import type { OutputItem } from "./items.ts";
import type { ResponsesRequest } from "./request.ts";

export interface ResponseRecord {
  readonly id: string;
  readonly object: "response";
  readonly created_at: number;
  readonly completed_at: number | null;
  readonly status: "in_progress" | "completed" | "incomplete" | "failed";
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly incomplete_details: { readonly reason: "max_output_tokens" } | null;
  readonly instructions: string | null;
  readonly max_output_tokens: number | null;
  readonly model: string;
  readonly output: readonly OutputItem[];
  readonly parallel_tool_calls: boolean;
  readonly previous_response_id: string | null;
  readonly reasoning: { readonly effort: null; readonly summary: null };
  readonly service_tier: "default";
  readonly store: boolean;
  readonly temperature: number;
  readonly text: { readonly format: object };
  readonly tool_choice: unknown;
  readonly tools: readonly object[];
  readonly top_logprobs: number;
  readonly top_p: number;
  readonly truncation: "disabled";
  readonly usage: ResponseUsage | null;
  readonly user: string | null;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ResponseUsage {
  readonly input_tokens: number;
  readonly input_tokens_details: { readonly cached_tokens: number };
  readonly output_tokens: number;
  readonly output_tokens_details: { readonly reasoning_tokens: 0 };
  readonly total_tokens: number;
}

export function newResponse(request: ResponsesRequest, model: string): ResponseRecord {
  return {
    id: answerId("resp"),
    object: "response",
    created_at: seconds(),
    completed_at: null,
    status: "in_progress",
    error: null,
    incomplete_details: null,
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    model,
    output: [],
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: "default",
    store: request.store ?? true,
    temperature: request.temperature ?? 1,
    text: { format: request.text?.format ?? { type: "text" } },
    tool_choice: request.tool_choice ?? "auto",
    tools: request.tools ?? [],
    top_logprobs: request.top_logprobs ?? 0,
    top_p: request.top_p ?? 1,
    truncation: "disabled",
    usage: null,
    user: request.user ?? null,
    metadata: request.metadata ?? {},
  };
}

export function endedResponse(begun: ResponseRecord, output: readonly OutputItem[], result: GenerationResult): ResponseRecord {
  const isWhole = result.finishReason === "stop";
  return {
    ...begun,
    status: isWhole ? "completed" : "incomplete",
    completed_at: seconds(),
    incomplete_details: isWhole ? null : { reason: "max_output_tokens" },
    output,
    usage: {
      input_tokens: result.promptIds.length,
      input_tokens_details: { cached_tokens: result.timings.cachedTokens },
      output_tokens: result.ids.length,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: result.promptIds.length + result.ids.length,
    },
  };
}

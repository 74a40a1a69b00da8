/** What a generation says, in the AI SDK's form. */
import type {
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3ToolCall,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
} from "@ai-sdk/provider";
import type { GenerationResult } from "../serving/generation.ts";
import { parseToolCalls } from "../text/tools.ts";
import type { Settings } from "./settings.ts";

export interface Answer {
  readonly content: LanguageModelV3Content[];
  readonly finishReason: LanguageModelV3FinishReason;
  readonly usage: LanguageModelV3Usage;
  readonly providerMetadata: SharedV3ProviderMetadata;
}

export function answerOf(result: GenerationResult, { calls: wanted, toolNames }: Pick<Settings, "calls" | "toolNames">): Answer {
  const calls = wanted === "none" ? [] : callsOf(result.text, toolNames);
  const cached = result.timings.cachedTokens;
  return {
    content: calls.length > 0 ? calls : result.text === "" ? [] : [{ type: "text", text: result.text }],
    finishReason: { unified: calls.length > 0 ? "tool-calls" : result.finishReason, raw: result.finishReason },
    usage: {
      inputTokens: { total: result.promptIds.length, noCache: result.promptIds.length - cached, cacheRead: cached, cacheWrite: undefined },
      outputTokens: { total: result.ids.length, text: result.ids.length, reasoning: 0 },
    },
    providerMetadata: { frugal: { seed: result.seed, ...logprobsOf(result) } },
  };
}

function callsOf(text: string, names: readonly string[]): LanguageModelV3ToolCall[] {
  return (parseToolCalls(text, names) ?? []).map(({ name, arguments: input }) => ({
    type: "tool-call",
    toolCallId: `call_${crypto.randomUUID()}`,
    toolName: name,
    input,
  }));
}

/** With the provider option `logprobs`: one entry a token. */
function logprobsOf({ parts }: GenerationResult): {
  logprobs?: { id: number; logprob: number; alternatives: { id: number; logprob: number }[] }[];
} {
  if (parts[0]?.logprob === undefined) return {};
  return {
    logprobs: parts.map(({ id, logprob = 0, alternatives = [] }) => ({
      id,
      logprob,
      alternatives: alternatives.map((other) => ({ ...other })),
    })),
  };
}

/** The AI SDK's call options as options of `generate`, and warnings for what has no counterpart. */
import type { LanguageModelV3CallOptions, SharedV3Warning } from "@ai-sdk/provider";
import type { GenerateOptions } from "../serving/writer.ts";
import type { Constraint } from "../text/constraint.ts";
import type { CallsWanted } from "../text/hold-calls.ts";
import { type FunctionTool, toolConstraint } from "../text/tools.ts";

export interface Settings {
  readonly options: GenerateOptions;
  readonly warnings: SharedV3Warning[];
  /** Whether the answer may be, or must be, calls of tools. */
  readonly calls: CallsWanted;
  readonly toolNames: readonly string[];
}

export function settingsOf(call: LanguageModelV3CallOptions): Settings {
  const warnings: SharedV3Warning[] = [];
  const tools = toolsOf(call, warnings);
  const forced = tools.length > 0 ? forcedChoice(call) : undefined;
  const constraint = forced === undefined ? formatConstraint(call) : toolConstraint(tools, forced);
  if (forced !== undefined && call.responseFormat?.type === "json")
    warnings.push({ type: "unsupported", feature: "responseFormat", details: "the answer is a call of a tool, as toolChoice asks" });
  const mayCall = tools.length > 0 && constraint === undefined;
  if (tools.length > 0 && forced === undefined && !mayCall)
    warnings.push({
      type: "unsupported",
      feature: "tools",
      details: "the answer is JSON as responseFormat asks, so no tool can be called",
    });
  const given = {
    maxTokens: call.maxOutputTokens,
    temperature: call.temperature,
    topP: call.topP,
    topK: call.topK,
    presencePenalty: call.presencePenalty,
    frequencyPenalty: call.frequencyPenalty,
    seed: call.seed,
    stop: call.stopSequences,
    signal: call.abortSignal,
    tools: tools.length > 0 ? tools : undefined,
    constraint,
  };
  return {
    // What is undefined is not given; unknown names among the provider's options are refused by `generate`.
    options: {
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
      ...call.providerOptions?.["frugal"],
    },
    warnings,
    toolNames: tools.map((tool) => tool.function.name),
    calls: forced !== undefined ? "must" : mayCall ? "may" : "none",
  };
}

function toolsOf({ tools = [], toolChoice }: LanguageModelV3CallOptions, warnings: SharedV3Warning[]): FunctionTool[] {
  if (toolChoice?.type === "none") return [];
  return tools.flatMap((tool): FunctionTool[] => {
    if (tool.type === "function") {
      const { name, description, inputSchema, strict } = tool;
      return [
        {
          type: "function",
          function: {
            name,
            ...(description === undefined ? {} : { description }),
            parameters: inputSchema as Record<string, unknown>,
            ...(strict === undefined ? {} : { strict }),
          },
        },
      ];
    }
    warnings.push({ type: "unsupported", feature: `provider-defined tool ${tool.id}` });
    return [];
  });
}

type Forced = "required" | { readonly type: "function"; readonly function: { readonly name: string } };

function forcedChoice({ toolChoice }: LanguageModelV3CallOptions): Forced | undefined {
  if (toolChoice?.type === "required") return "required";
  return toolChoice?.type === "tool" ? { type: "function", function: { name: toolChoice.toolName } } : undefined;
}

function formatConstraint({ responseFormat }: LanguageModelV3CallOptions): Constraint | undefined {
  if (responseFormat?.type !== "json") return undefined;
  return responseFormat.schema === undefined ? { kind: "json" } : { kind: "json-schema", schema: responseFormat.schema };
}

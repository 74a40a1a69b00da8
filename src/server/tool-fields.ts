/** Tools in requests, and calls of them in answers. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Constraint } from "../text/constraint.ts";
import type { CallsWanted } from "../text/hold-calls.ts";
import { type FunctionTool, parseToolCalls, type ToolCall, type ToolChoice, toolConstraint } from "../text/tools.ts";
import { type Fields, flag, type Maybe, record } from "./schema.ts";

export interface ToolFields {
  readonly tools?: Maybe<readonly FunctionTool[]>;
  readonly tool_choice?: Maybe<ToolChoice>;
  readonly parallel_tool_calls?: Maybe<boolean>;
}

const functionName = z.string().regex(/^[\w.-]{1,128}$/, "a name has letters, digits, _, - and .");

const functionTool = record<FunctionTool>({
  type: z.literal("function", { error: "only tools of type function can be called here" }),
  function: record<FunctionTool["function"]>({
    name: functionName,
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: z.boolean().nullish(),
  }),
});

export const toolFields: Fields<ToolFields> = {
  tools: z.array(functionTool).max(128).nullish(),
  tool_choice: z
    .union([
      z.enum(["none", "auto", "required"]),
      record<Exclude<ToolChoice, string>>({
        type: z.literal("function"),
        function: record<{ readonly name: string }>({ name: functionName }),
      }),
    ])
    .nullish(),
  parallel_tool_calls: flag,
};

/** What a request's tools mean for its texts. */
export interface ToolUse {
  /** For the template; none where the model may not call. */
  readonly shown: readonly FunctionTool[];
  /** Forces a call. */
  readonly constraint: Constraint | undefined;
  /** Calls in a text, where it is nothing else. */
  calls(text: string): readonly ToolCall[] | undefined;
  /** Whether its texts may be calls. */
  readonly wanted: CallsWanted;
}

/** @throws FRUGAL_BAD_ARGUMENT for a choice that is not among the tools. */
export function toolUse({ tools, tool_choice: choice, parallel_tool_calls: parallel }: ToolFields): ToolUse {
  const given = tools ?? [];
  const constraint = toolConstraint(given, choice ?? "auto");
  const shown = choice === "none" ? [] : given;
  const names = shown.map((tool) => tool.function.name);
  return {
    shown,
    constraint,
    calls(text) {
      const found = names.length === 0 ? undefined : parseToolCalls(text, names);
      return parallel === false ? found?.slice(0, 1) : found;
    },
    wanted: names.length === 0 ? "none" : "may",
  };
}

/** A call as answers have it. */
export interface AnsweredCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

export const answeredCall = ({ name, arguments: given }: ToolCall): AnsweredCall => ({
  id: `call_${randomUUID().replaceAll("-", "").slice(0, 24)}`,
  type: "function",
  function: { name, arguments: given },
});

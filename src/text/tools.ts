/**
 * Calls of tools: the constraint that forces one, and calls read back from a text. What tools look like to a model is its template's affair;
 * a forced call is written `{"name": ..., "arguments": {...}}`, as most models are taught to.
 */
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Constraint } from "./constraint.ts";

/** A tool in OpenAI's form. */
export interface FunctionTool {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description?: string | null | undefined;
    /** JSON schema of the arguments. Default: any object. */
    readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
    readonly strict?: boolean | null | undefined;
  };
}

export type ToolChoice = "none" | "auto" | "required" | { readonly type: "function"; readonly function: { readonly name: string } };

/** A call as OpenAI's API has it: the arguments are JSON text. */
export interface ToolCall {
  readonly name: string;
  readonly arguments: string;
}

/**
 * The constraint under which a text is a call of one of the tools; undefined where the model may choose. Arguments keep to the tool's schema
 * whether it says strict or not. @throws FRUGAL_BAD_ARGUMENT for a choice that is not among the tools.
 */
export function toolConstraint(tools: readonly FunctionTool[], choice: ToolChoice): Constraint | undefined {
  if (choice === "none" || choice === "auto") return undefined;
  const wanted = choice === "required" ? tools : tools.filter((tool) => tool.function.name === choice.function.name);
  if (wanted.length === 0) {
    const name = choice === "required" ? undefined : choice.function.name;
    const names = tools.map((tool) => tool.function.name);
    const near = name === undefined ? undefined : nearest(name, names);
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      name === undefined
        ? "tool_choice: asks for a call, but there are no tools; give some"
        : `tool_choice: there is no tool ${JSON.stringify(name.slice(0, 100))}; ${near === undefined ? `there are ${names.slice(0, 20).join(", ") || "none"}` : `did you mean ${near}?`}`,
      { option: "tool_choice" },
    );
  }
  const calls = wanted.map(({ function: { name, parameters } }) => callSchema(name, parameters ?? { type: "object" }));
  return { kind: "json-schema", schema: calls.length === 1 ? calls[0] : { anyOf: calls } };
}

const callSchema = (name: string, parameters: Readonly<Record<string, unknown>>): object => ({
  type: "object",
  properties: { name: { const: name }, arguments: parameters },
  required: ["name", "arguments"],
  additionalProperties: false,
});

/**
 * Calls in a text that is nothing but calls: an object or a list of objects with `name` and `arguments` (or `parameters`), bare, in a code
 * block, or each within `<tool_call>` marks. Undefined where it is another text, or names a tool that is not among `names`.
 */
export function parseToolCalls(text: string, names?: readonly string[]): readonly ToolCall[] | undefined {
  const calls: ToolCall[] = [];
  for (const piece of piecesOf(text.trim())) {
    const value = parsed(piece);
    for (const item of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const call = callOf(item);
      if (call === undefined || (names !== undefined && !names.includes(call.name))) return undefined;
      calls.push(call);
    }
  }
  return calls.length > 0 ? calls : undefined;
}

const [opening, closing, tag] = ["<tool_call>", "</tool_call>", "<|python_tag|>"];

// No regular expressions over the whole: texts of models may be long and odd.
function piecesOf(text: string): readonly string[] {
  if (text.startsWith(opening))
    return text
      .split(opening)
      .slice(1)
      .map((piece) => piece.trim())
      .map((piece) => (piece.endsWith(closing) ? piece.slice(0, -closing.length) : piece));
  if (text.startsWith("```") && text.endsWith("```") && text.includes("\n")) return [text.slice(text.indexOf("\n"), -3)];
  return [text.startsWith(tag) ? text.slice(tag.length) : text];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function callOf(value: unknown): ToolCall | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { name, arguments: given, parameters } = value as Readonly<Record<string, unknown>>;
  const values = given ?? parameters ?? {};
  if (typeof name !== "string") return undefined;
  if (typeof values === "string") return { name, arguments: values };
  return typeof values === "object" && !Array.isArray(values) ? { name, arguments: JSON.stringify(values) } : undefined;
}

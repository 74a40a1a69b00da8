/** What a response's tools and text format ask of the writing. */
import type { GenerateOptions } from "../../serving/writer.ts";
import type { CallsWanted } from "../../text/hold-calls.ts";
import { toolConstraint } from "../../text/tools.ts";
import { HttpError } from "../errors.ts";
import type { FunctionTool, ResponsesRequest } from "./request.ts";

export function toolOptions(request: ResponsesRequest): { readonly options: GenerateOptions; readonly calls: CallsWanted } {
  const format = request.text?.format;
  const wanted = request.tool_choice ?? "auto";
  const tools = wanted === "none" ? [] : (request.tools ?? []).map(inChatForm);
  const isForced = wanted !== "auto" && wanted !== "none";
  if (isForced && tools.length === 0)
    throw new HttpError(400, "tool_choice: asks for a call, but there are no tools; give some", { param: "tool_choice" });
  if (tools.length > 0 && format && format.type !== "text")
    throw new HttpError(400, "text: asks for JSON, but there are tools to call; give one of them, or tool_choice none", { param: "text" });
  if (tools.length > 0) {
    const constraint = toolConstraint(tools, typeof wanted === "object" ? { type: "function", function: { name: wanted.name } } : wanted);
    return { options: { tools, ...(constraint === undefined ? {} : { constraint }) }, calls: isForced ? "must" : "may" };
  }
  if (format?.type === "json_object") return { options: { constraint: { kind: "json" } }, calls: "none" };
  if (format?.type === "json_schema") return { options: { constraint: { kind: "json-schema", schema: format.schema } }, calls: "none" };
  return { options: {}, calls: "none" };
}

const inChatForm = ({ type, ...tool }: FunctionTool): { readonly type: "function"; readonly function: Omit<FunctionTool, "type"> } => ({
  type,
  function: tool,
});

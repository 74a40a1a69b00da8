import { describe, expect, test } from "vitest";
import { type FunctionTool, parseToolCalls, toolConstraint } from "./tools.ts";

const tool = (name: string, parameters?: Record<string, unknown>): FunctionTool => ({ type: "function", function: { name, parameters } });
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const call = (name: string, parameters: object): object => ({
  type: "object",
  properties: { name: { const: name }, arguments: parameters },
  required: ["name", "arguments"],
  additionalProperties: false,
});

describe("toolConstraint", () => {
  const tools = [tool("weather", city), tool("time")];
  test("leaves the model the choice", () => {
    expect(toolConstraint(tools, "auto")).toBeUndefined();
    expect(toolConstraint(tools, "none")).toBeUndefined();
  });
  test("forces any tool, or the named one, with its arguments", () => {
    expect(toolConstraint(tools, "required")).toEqual({
      kind: "json-schema",
      schema: { anyOf: [call("weather", city), call("time", { type: "object" })] },
    });
    expect(toolConstraint(tools, { type: "function", function: { name: "weather" } })).toEqual({
      kind: "json-schema",
      schema: call("weather", city),
    });
  });
  test("refuses a tool that is not there", () => {
    expect(() => toolConstraint(tools, { type: "function", function: { name: "whether" } })).toThrow(/did you mean weather/);
    expect(() => toolConstraint([], "required")).toThrow(/there are no tools/);
  });
});

describe("parseToolCalls", () => {
  const one = [{ name: "weather", arguments: '{"city":"Oslo"}' }];
  test.each([
    ["bare", '{"name": "weather", "arguments": {"city": "Oslo"}}'],
    ["with parameters", ' {"name": "weather", "parameters": {"city": "Oslo"}}\n'],
    ["arguments as text", '{"name": "weather", "arguments": "{\\"city\\":\\"Oslo\\"}"}'],
    ["marked", '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'],
    ["cut after the call", '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}'],
    ["in a code block", '```json\n{"name": "weather", "arguments": {"city": "Oslo"}}\n```'],
    ["in a list", '[{"name": "weather", "arguments": {"city": "Oslo"}}]'],
  ])("%s", (_, text) => expect(parseToolCalls(text)).toEqual(one));

  test("several", () => {
    const marked = '<tool_call>{"name":"a","arguments":{}}</tool_call>\n<tool_call>{"name":"b"}</tool_call>';
    expect(parseToolCalls(marked)).toEqual([
      { name: "a", arguments: "{}" },
      { name: "b", arguments: "{}" },
    ]);
  });

  test.each([
    "",
    "Hello",
    "{}",
    "[]",
    "5",
    '{"name": 5}',
    '{"name": "a", "arguments": [1]}',
    'I say {"name":"a","arguments":{}}',
    '{"name":"a"',
  ])("%j is another text", (text) => expect(parseToolCalls(text)).toBeUndefined());

  test("a tool that was not offered is another text", () => {
    expect(parseToolCalls('{"name":"a","arguments":{}}', ["b"])).toBeUndefined();
    expect(parseToolCalls('{"name":"a","arguments":{}}', ["a"])).toHaveLength(1);
  });
  test("long hostile texts end soon", () => {
    const started = performance.now();
    parseToolCalls("<tool_call>".repeat(100_000) + "x");
    parseToolCalls("<tool_call>" + "\n".repeat(100_000) + "x</tool_call>y");
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

/** JSON and calls of tools under the AI SDK: a tiny model knows neither, so what comes is the mask's doing. */
import { generateObject, generateText, jsonSchema, Output, streamText, tool, type ToolSet } from "ai";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FrugalModel, load } from "../serving/model.ts";
import { frugal } from "./index.ts";

let model: FrugalModel;
beforeAll(async () => {
  model = await load(fileURLToPath(new URL("../../models/stories/stories.gguf", import.meta.url)), { threads: 1 });
});
afterAll(() => model.dispose());

const cat = {
  type: "object",
  properties: { color: { enum: ["black", "white"] }, old: { type: "boolean" } },
  required: ["color", "old"],
  additionalProperties: false,
} as const;
type Cat = { color: "black" | "white"; old: boolean };
const prompt = "Tell me of a cat.";
const maxOutputTokens = 100;
const tools = { describe: tool({ description: "Describes a cat", inputSchema: jsonSchema<Cat>(cat) }) } as unknown as ToolSet;
const expectCat = (value: unknown): void => {
  expect(value).toEqual({ color: expect.stringMatching(/^(?:black|white)$/), old: expect.any(Boolean) });
};

test("generateObject keeps to the schema", async () => {
  expectCat((await generateObject({ model: frugal(model), schema: jsonSchema<Cat>(cat), prompt, maxOutputTokens })).object);
});

test("generateText with an output of objects", async () => {
  const { output } = await generateText({
    model: frugal(model),
    output: Output.object({ schema: jsonSchema<Cat>(cat) }),
    prompt,
    maxOutputTokens,
  });
  expectCat(output);
});

test.each(["required", { type: "tool", toolName: "describe" }] as const)("generateText must call a tool: %j", async (toolChoice) => {
  const { toolCalls, finishReason, text } = await generateText({ model: frugal(model), tools, toolChoice, prompt, maxOutputTokens });
  expect([toolCalls[0]!.toolName, finishReason, text]).toEqual(["describe", "tool-calls", ""]);
  expectCat(toolCalls[0]!.input);
});

test("streamText must call a tool", async () => {
  const { toolCalls, textStream } = streamText({ model: frugal(model), tools, toolChoice: "required", prompt, maxOutputTokens });
  let text = "";
  for await (const delta of textStream) text += delta;
  expect(text).toBe("");
  expectCat((await toolCalls)[0]!.input);
});

test("where the model may choose, text stays text", async () => {
  const free = await generateText({ model: frugal(model), tools, prompt, maxOutputTokens: 10 });
  expect([free.toolCalls, free.text.length > 0]).toEqual([[], true]);
  const { textStream } = streamText({ model: frugal(model), tools, prompt, maxOutputTokens: 10 });
  let text = "";
  for await (const delta of textStream) text += delta;
  expect(text).toBe(free.text);
});

test("toolChoice none hides the tools", async () => {
  const hidden = await generateText({ model: frugal(model), tools, toolChoice: "none", prompt, maxOutputTokens: 10 });
  expect(hidden.text).toBe((await generateText({ model: frugal(model), prompt, maxOutputTokens: 10 })).text);
});

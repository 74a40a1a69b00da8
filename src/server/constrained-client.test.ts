/** Calls of tools and JSON through the official client: a tiny model knows neither, so what comes is the mask's doing. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ServedModel, serveStories } from "../../testing/serving.ts";

let served: ServedModel;
let client: OpenAI;
beforeAll(async () => {
  served = await serveStories();
  client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => served[Symbol.asyncDispose]());

const schema = {
  type: "object",
  properties: { color: { enum: ["black", "white"] }, old: { type: "boolean" } },
  required: ["color", "old"],
  additionalProperties: false,
};
const expectCat = (text: string): void => {
  expect(JSON.parse(text)).toEqual({ color: expect.stringMatching(/^(?:black|white)$/), old: expect.any(Boolean) });
};
const ask = {
  model: "stories",
  messages: [{ role: "user" as const, content: "Tell me of a cat." }],
  max_completion_tokens: 100,
  temperature: 0,
};
const chatTool = { type: "function" as const, function: { name: "describe", parameters: schema, strict: true } };
const tool = { type: "function" as const, name: "describe", parameters: schema, strict: true };
const responding = { model: "stories", input: "Tell me of a cat.", max_output_tokens: 100, temperature: 0 };

describe("chat.completions", () => {
  test("response_format json_schema", async () => {
    const response_format = { type: "json_schema" as const, json_schema: { name: "cat", schema, strict: true } };
    expectCat((await client.chat.completions.create({ ...ask, response_format })).choices[0]!.message.content!);
  });

  test("a call that must come, whole and streamed", async () => {
    const options = { ...ask, tools: [chatTool], tool_choice: "required" as const };
    const [choice] = (await client.chat.completions.create(options)).choices;
    expect(choice!.finish_reason).toBe("tool_calls");
    const [call] = choice!.message.tool_calls!;
    expect(call).toMatchObject({ type: "function", id: expect.any(String), function: { name: "describe" } });
    if (call?.type === "function") expectCat(call.function.arguments);
    const streamed = await client.chat.completions.stream(options).finalChatCompletion();
    const [again] = streamed.choices[0]!.message.tool_calls!;
    if (again?.type === "function") expectCat(again.function.arguments);
  });
});

describe("responses", () => {
  test("text.format json_schema", async () => {
    const text = { format: { type: "json_schema" as const, name: "cat", schema } };
    expectCat((await client.responses.create({ ...responding, text })).output_text);
  });

  test("a call that must come, whole and streamed", async () => {
    const options = { ...responding, tools: [tool], tool_choice: "required" as const };
    const { output } = await client.responses.create(options);
    expect(output).toMatchObject([{ type: "function_call", name: "describe", call_id: expect.any(String), status: "completed" }]);
    if (output[0]!.type === "function_call") expectCat(output[0]!.arguments);
    const types: string[] = [];
    const runner = client.responses.stream(options);
    for await (const { type } of runner) types.push(type);
    expect(types).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.output_item.done",
      "response.completed",
    ]);
    expect((await runner.finalResponse()).output).toMatchObject([{ type: "function_call", name: "describe" }]);
  });

  test("the call and its result are read in the next turn", async () => {
    const first = await client.responses.create({ ...responding, tools: [tool], tool_choice: { type: "function", name: "describe" } });
    const call = first.output[0] as OpenAI.Responses.ResponseFunctionToolCall;
    const next = await client.responses.create({
      ...responding,
      previous_response_id: first.id,
      input: [{ type: "function_call_output", call_id: call.call_id, output: "It is black." }],
      tools: [tool],
      tool_choice: "none",
    });
    expect(next.output[0]!.type).toBe("message");
  });

  test("a schema that cannot be kept to is refused", async () => {
    const text = { format: { type: "json_schema" as const, name: "x", schema: { type: "object", properties: { a: { type: "strng" } } } } };
    await expect(client.responses.create({ ...responding, text })).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  });
});

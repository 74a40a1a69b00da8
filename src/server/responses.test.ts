/** POST /v1/responses: the answer, the sequence of events, what is kept, and what is refused. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ServedModel, serveStories } from "../../testing/serving.ts";
import { createResponseStore, type StoredResponse } from "./responses/store.ts";
import { conversationOf } from "./responses/items.ts";
import type { ResponseRecord } from "./responses/record.ts";

let served: ServedModel;
beforeAll(async () => {
  served = await serveStories({ apiKeys: ["one", "two"] });
});
afterAll(() => served[Symbol.asyncDispose]());

const path = "/v1/responses";
const withKey = (key: string): RequestInit => ({ headers: { authorization: `Bearer ${key}` } });
const post = (body: object): Promise<Response> => served.post(path, { temperature: 0, ...body }, withKey("one"));
async function respond(body: object): Promise<ResponseRecord> {
  const response = await post(body);
  expect(response.status).toBe(200);
  return (await response.json()) as ResponseRecord;
}
const textOf = ({ output }: ResponseRecord): string => (output[0]?.type === "message" ? output[0].content[0]!.text : "");

describe("an answer", () => {
  test("is what the model writes to the conversation", async () => {
    const response = await respond({ input: "Tell me of a cat.", instructions: "Be kind.", max_output_tokens: 8, metadata: { a: "b" } });
    const messages = [
      { role: "system", content: "Be kind." },
      { role: "user", content: "Tell me of a cat." },
    ];
    const direct = await served.model.chat(messages, { maxTokens: 8 });
    expect(textOf(response)).toBe(direct.text);
    expect(response).toMatchObject({
      object: "response",
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      error: null,
      model: "stories",
      instructions: "Be kind.",
      metadata: { a: "b" },
      max_output_tokens: 8,
      usage: { input_tokens: direct.promptIds.length, output_tokens: 8, total_tokens: direct.promptIds.length + 8 },
    });
  });

  test("goes on with items, and with a response that was kept", async () => {
    const first = await respond({ input: "Tell me of a cat.", max_output_tokens: 8 });
    const second = await respond({ input: "And then?", previous_response_id: first.id, max_output_tokens: 8 });
    const items = [
      { role: "user", content: "Tell me of a cat." },
      ...first.output,
      { role: "user", content: [{ type: "input_text", text: "And then?" }] },
    ];
    const whole = await respond({ input: items, max_output_tokens: 8 });
    expect(textOf(second)).toBe(textOf(whole));
    expect(second.usage!.input_tokens).toBe(whole.usage!.input_tokens);
    expect(second.previous_response_id).toBe(first.id);
  });

  test("has log probabilities where they are included", async () => {
    const response = await respond({ input: "Hi", max_output_tokens: 4, include: ["message.output_text.logprobs"], top_logprobs: 2 });
    const [item] = response.output;
    expect(item?.type === "message" && item.content[0]!.logprobs).toHaveLength(4);
  });
});

test("items become the messages that templates read", () => {
  expect(
    conversationOf("Be kind.", [
      { role: "developer", content: "Short." },
      {
        role: "user",
        content: [
          { type: "input_text", text: "Weather" },
          { type: "input_text", text: "in Oslo?" },
        ],
      },
      { type: "function_call", call_id: "1", name: "weather", arguments: '{"city":"Oslo"}' },
      { type: "function_call", call_id: "2", name: "time", arguments: "not JSON" },
      { type: "function_call_output", call_id: "1", output: "Rain." },
    ]),
  ).toEqual([
    { role: "system", content: "Be kind." },
    { role: "system", content: "Short." },
    { role: "user", content: "Weather\nin Oslo?" },
    {
      role: "assistant",
      content: "",
      tool_calls: [
        { id: "1", type: "function", function: { name: "weather", arguments: { city: "Oslo" } } },
        { id: "2", type: "function", function: { name: "time", arguments: "not JSON" } },
      ],
    },
    { role: "tool", tool_call_id: "1", content: "Rain." },
  ]);
});

describe("a stream", () => {
  test("has the events that OpenAI documents, in order, and the same text", async () => {
    const body = { input: "Tell me of a cat.", max_output_tokens: 8 };
    const whole = await respond(body);
    const response = await post({ ...body, stream: true });
    const events = (await response.text())
      .trimEnd()
      .split("\n\n")
      .map((event) => {
        const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(event)!;
        return { name, ...(JSON.parse(data!) as { type: string; sequence_number: number; delta?: string; response?: ResponseRecord }) };
      });
    expect(events.map(({ sequence_number: number }) => number)).toEqual(events.map((_, i) => i));
    expect(events.every(({ name, type }) => name === type)).toBe(true);
    const types = events.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1]);
    expect(types).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.incomplete",
    ]);
    const deltas = events.map(({ delta }) => delta ?? "").join("");
    expect(deltas).toBe(textOf(whole));
    expect(textOf(events.at(-1)!.response!)).toBe(textOf(whole));
    expect(events.at(-1)!.response!.usage).toEqual(whole.usage);
  });

  test("that fails before it begins is an ordinary error", async () => {
    const response = await post({ input: "cat ".repeat(600), stream: true });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "context_length_exceeded" } });
  });
});

describe("what is kept", () => {
  const get = (id: string, key = "one", method = "GET"): Promise<Response> =>
    fetch(`${served.url}${path}/${id}`, { method, ...withKey(key) });

  test("can be read and deleted by the key it was made with", async () => {
    const made = await respond({ input: "Hi", max_output_tokens: 2 });
    expect(await (await get(made.id)).json()).toEqual(made);
    for (const method of ["GET", "DELETE"]) expect((await get(made.id, "two", method)).status).toBe(404);
    expect(await (await get(made.id, "one", "DELETE")).json()).toEqual({ id: made.id, object: "response", deleted: true });
    expect((await get(made.id)).status).toBe(404);
  });

  test("is nothing where the request says so", async () => {
    const { id } = await respond({ input: "Hi", max_output_tokens: 2, store: false });
    expect((await get(id)).status).toBe(404);
    expect((await post({ input: "Hi", previous_response_id: id })).status).toBe(404);
  });

  test("is bounded: the oldest goes first", () => {
    const store = createResponseStore(4000);
    const stored = (id: string, text: string): StoredResponse => ({
      response: { id } as ResponseRecord,
      items: [{ role: "user", content: text }],
      tenant: undefined,
    });
    for (const id of ["a", "b", "c"]) store.put(stored(id, "x".repeat(800)));
    expect(["a", "b", "c"].map((id) => store.get(id, undefined) !== undefined)).toEqual([false, true, true]);
    store.put(stored("large", "x".repeat(5000)));
    expect(["b", "c", "large"].map((id) => store.get(id, undefined))).toEqual([undefined, undefined, undefined]);
  });
});

test.each<[string, object, RegExp]>([
  ["no input", {}, /input/],
  ["an unknown field", { inptu: "a" }, /did you mean input/],
  ["background", { input: "a", background: true }, /background/],
  ["a conversation", { input: "a", conversation: "x" }, /previous_response_id/],
  ["a picture", { input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] }, /input/],
  ["a tool that others run", { input: "a", tools: [{ type: "web_search" }] }, /tools of type function/],
  ["a choice without tools", { input: "a", tool_choice: "required" }, /no tools/],
  ["tools and JSON", { input: "a", tools: [{ type: "function", name: "f" }], text: { format: { type: "json_object" } } }, /one of them/],
  ["truncation", { input: "a", truncation: "auto" }, /never cut/],
])("%s is 400", async (_, body, message) => {
  const response = await post(body);
  expect(response.status).toBe(400);
  expect(((await response.json()) as { error: { message: string } }).error.message).toMatch(message);
});

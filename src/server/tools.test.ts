/** Tools, formats and the queue through /v1/chat/completions: constraints hold, calls come back as calls. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventsOf, type ServedModel, serveStories } from "../../testing/serving.ts";

let served: ServedModel;
beforeAll(async () => {
  served = await serveStories();
});
afterAll(() => served[Symbol.asyncDispose]());

const path = "/v1/chat/completions";
const messages = [{ role: "user", content: "What is the weather?" }];
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather of a town.",
    parameters: {
      type: "object",
      properties: { town: { enum: ["Rome", "Paris"] }, days: { enum: [1, 2] } },
      required: ["town", "days"],
      additionalProperties: false,
    },
  },
};
const time = { type: "function", function: { name: "time" } };

interface Choice {
  readonly message: {
    readonly content: string | null;
    readonly tool_calls?: readonly { id: string; type: string; function: { name: string; arguments: string } }[];
  };
  readonly finish_reason: string;
}

async function choiceOf(body: object): Promise<Choice> {
  const response = await served.post(path, { messages, temperature: 1, seed: 3, max_tokens: 120, ...body });
  const answer = (await response.json()) as { readonly choices: readonly Choice[]; readonly error?: { readonly message: string } };
  expect(answer.error?.message).toBeUndefined();
  return answer.choices[0]!;
}

describe("tools", () => {
  const named = { tools: [weather, time], tool_choice: { type: "function", function: { name: "weather" } } };

  test("a call that is asked for keeps to its schema", async () => {
    const { message, finish_reason: reason } = await choiceOf(named);
    expect([reason, message.content]).toEqual(["tool_calls", null]);
    const [call] = message.tool_calls!;
    expect(call).toMatchObject({ id: expect.stringMatching(/^call_/), type: "function", function: { name: "weather" } });
    expect(JSON.parse(call!.function.arguments)).toEqual({ town: expect.stringMatching(/^(Rome|Paris)$/), days: expect.any(Number) });
  });

  test("required calls one of them", async () => {
    const { message } = await choiceOf({ tools: [weather], tool_choice: "required" });
    expect(message.tool_calls![0]!.function.name).toBe("weather");
  });

  test("a stream carries the same call", async () => {
    const { message } = await choiceOf(named);
    const events = await eventsOf(await served.post(path, { messages, temperature: 1, seed: 3, max_tokens: 120, stream: true, ...named }));
    const deltas = events
      .slice(0, -1)
      .flatMap(
        (event) =>
          (JSON.parse(event) as { choices: { delta: { content?: string; tool_calls?: object[] }; finish_reason: string }[] }).choices,
      );
    expect(deltas.flatMap(({ delta }) => delta.tool_calls ?? [])).toMatchObject([
      { index: 0, type: "function", function: message.tool_calls![0]!.function },
    ]);
    expect(deltas.map(({ delta }) => delta.content ?? "").join("")).toBe("");
    expect(deltas.at(-1)!.finish_reason).toBe("tool_calls");
  });

  test("auto leaves text as text, none does not show them", async () => {
    for (const choice of ["auto", "none"]) {
      const { message } = await choiceOf({ tools: [weather], tool_choice: choice, max_tokens: 8 });
      expect(message.content).toEqual(expect.any(String));
      expect(message.tool_calls).toBeUndefined();
    }
  });

  test("a conversation with calls and results is read", async () => {
    const call = { id: "call_1", type: "function", function: { name: "weather", arguments: '{"town":"Rome","days":1}' } };
    const conversation = [
      ...messages,
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: "call_1", content: "sunny" },
    ];
    expect((await choiceOf({ messages: conversation, max_tokens: 4 })).message.content).toEqual(expect.any(String));
  });

  test.each([
    [
      "a choice that is no tool",
      { tools: [weather], tool_choice: { type: "function", function: { name: "wether" } } },
      /did you mean "?weather/,
    ],
    ["a choice without tools", { tool_choice: "required" }, /there are no tools/],
    ["a tool that is no function", { tools: [{ type: "web_search" }] }, /only tools of type function/],
    [
      "a schema beyond us",
      { tools: [{ type: "function", function: { name: "a", parameters: { not: {} } } }], tool_choice: "required" },
      /not/,
    ],
  ])("refused: %s", async (_, body, message) => {
    const response = await served.post(path, { messages, max_tokens: 4, ...body });
    expect([response.status, await response.text()]).toEqual([400, expect.stringMatching(message)]);
  });
});

describe("formats", () => {
  const schema = { type: "object", properties: { a: { enum: [1, 2] } }, required: ["a"], additionalProperties: false };
  const cases: readonly (readonly [name: string, body: object, text: RegExp])[] = [
    [
      "json_schema",
      { response_format: { type: "json_schema", json_schema: { name: "x", schema, strict: true } } },
      /^\{\s*"a"\s*:\s*[12]\s*\}$/,
    ],
    ["guided_json", { guided_json: schema }, /^\{\s*"a"\s*:\s*[12]\s*\}$/],
    ["guided_json as text", { guided_json: JSON.stringify(schema) }, /^\{\s*"a"\s*:\s*[12]\s*\}$/],
    ["guided_regex", { guided_regex: "[ab]{3}" }, /^[ab]{3}$/],
    ["guided_choice", { guided_choice: ["yes", "no"] }, /^(yes|no)$/],
    ["guided_grammar", { guided_grammar: 'root ::= "x" | "y"' }, /^[xy]$/],
    ["structured_outputs", { structured_outputs: { choice: ["left", "right"] } }, /^(left|right)$/],
  ];
  test.each(cases)("%s", async (_, body, text) => {
    expect((await choiceOf(body)).message.content).toMatch(text);
  });

  test("a text cut short says length", async () => {
    expect((await choiceOf({ guided_regex: "[ab]{300}", max_tokens: 5 })).finish_reason).toBe("length");
  });

  test.each([
    ["two at once", { guided_regex: "a", guided_choice: ["b"] }, /keeps to one of them/],
    ["a schema without one", { response_format: { type: "json_schema" } }, /give a JSON schema/],
    ["a bomb", { guided_regex: `${"(".repeat(50)}a{1,999}${"){1,999}".repeat(50)}` }, /./],
    ["no expression", { guided_regex: "(" }, /./],
  ])("refused: %s", async (_, body, message) => {
    const response = await served.post(path, { messages, max_tokens: 4, ...body });
    expect([response.status, await response.text()]).toEqual([400, expect.stringMatching(message)]);
  });
});

test("where too many wait, more are refused with 429 and when to come again; the others are answered", async () => {
  await using small = await serveStories({}, { sequences: 1, queue: 2 });
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => small.post("/v1/completions", { prompt: "Once", max_tokens: 200, ignore_eos: true, temperature: 0 })),
  );
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThanOrEqual(4);
  expect(Number(refused[0]!.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect(await refused[0]!.json()).toMatchObject({ error: { type: "rate_limit_error", code: "server_busy" } });
  const texts = await Promise.all(
    answers.filter(({ ok }) => ok).map(async (answer) => ((await answer.json()) as { choices: [{ text: string }] }).choices[0].text),
  );
  expect(new Set(texts).size).toBe(1);
});

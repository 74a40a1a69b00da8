/** POST /v1/chat/completions over a real connection: answers, streams, and what is refused. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventsOf, type ServedModel, serveStories } from "../../testing/serving.ts";

let served: ServedModel;
beforeAll(async () => {
  served = await serveStories();
});
afterAll(() => served[Symbol.asyncDispose]());

const messages = [{ role: "user", content: "Tell me of a cat." }];
const path = "/v1/chat/completions";

interface Completion {
  readonly id: string;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: { readonly role: string; readonly content: string };
    readonly logprobs: { readonly content: readonly { token: string; logprob: number; bytes: number[]; top_logprobs: unknown[] }[] } | null;
    readonly finish_reason: string;
  }[];
  readonly usage: Record<string, number> & { readonly prompt_tokens_details: { readonly cached_tokens: number } };
}

async function complete(body: object): Promise<Completion> {
  const response = await served.post(path, { messages, temperature: 0, max_tokens: 8, ...body });
  expect(response.status).toBe(200);
  return (await response.json()) as Completion;
}

describe("an answer", () => {
  test("has the text that the model writes, and counts its tokens", async () => {
    const answer = await complete({ model: "stories" });
    const direct = await served.model.chat(messages, { maxTokens: 8 });
    expect(answer.choices).toEqual([
      { index: 0, message: { role: "assistant", content: direct.text, refusal: null }, logprobs: null, finish_reason: direct.finishReason },
    ]);
    expect(answer.model).toBe("stories");
    expect(answer.usage).toMatchObject({
      prompt_tokens: direct.promptIds.length,
      completion_tokens: direct.ids.length,
      total_tokens: direct.promptIds.length + direct.ids.length,
    });
  });

  test("comes n times, each with its own seed", async () => {
    const three = await complete({ n: 3, temperature: 1, seed: 5 });
    const texts = three.choices.map(({ message }) => message.content);
    expect(new Set(texts).size).toBeGreaterThan(1);
    const second = await complete({ temperature: 1, seed: 6 });
    expect(second.choices[0]!.message.content).toBe(texts[1]);
    expect(three.usage["prompt_tokens"]).toBe(second.usage["prompt_tokens"]);
  });

  test("has log probabilities where they are asked for", async () => {
    const answer = await complete({ logprobs: true, top_logprobs: 2 });
    const content = answer.choices[0]!.logprobs!.content;
    expect(content).toHaveLength(answer.usage["completion_tokens"]!);
    expect(content[0]!.top_logprobs).toHaveLength(2);
    expect(content[0]!.top_logprobs[0]).toMatchObject({ token: content[0]!.token, logprob: content[0]!.logprob });
    expect(Buffer.from(content.flatMap(({ bytes }) => bytes)).toString()).toContain(answer.choices[0]!.message.content.trim());
  });
});

describe("a stream", () => {
  test("carries the same text, the reason, the usage and the end", async () => {
    const whole = await complete({});
    const response = await served.post(path, {
      messages,
      temperature: 0,
      max_tokens: 8,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const events = await eventsOf(response);
    expect(events.at(-1)).toBe("[DONE]");
    const chunks = events
      .slice(0, -1)
      .map((event) => JSON.parse(event) as { choices: { delta: { content?: string }; finish_reason: string | null }[]; usage: unknown });
    expect(chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? "")).join("")).toBe(
      whole.choices[0]!.message.content,
    );
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe(whole.choices[0]!.finish_reason);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 8 } });
    expect(chunks[0]!.usage).toBeNull();
  });
});

describe("refused with 400 and the field's name:", () => {
  const cases: readonly (readonly [name: string, body: object, param: string | null, message: RegExp])[] = [
    ["an unknown field", { temprature: 1 }, "temprature", /did you mean temperature/],
    ["a field of the API that we lack", { audio: { voice: "x" } }, "audio", /only text/],
    ["functions", { functions: [] }, "functions", /tools/],
    ["n of 0", { n: 0 }, "n", /1/],
    ["a negative temperature", { temperature: -1 }, "temperature", /0/],
    ["a logit bias for no token", { logit_bias: { x: 1 } }, "logit_bias.x", /token ids/],
    ["a logit bias beyond the vocabulary", { logit_bias: { "99999999": 1 } }, "logit_bias", /ids from 0/],
    ["an empty stop", { stop: "" }, "stop", /./],
    ["1,000 stops", { stop: Array.from({ length: 1000 }, String) }, "stop", /./],
    ["21 top_logprobs", { logprobs: true, top_logprobs: 21 }, "top_logprobs", /20/],
    ["top_logprobs alone", { top_logprobs: 2 }, "top_logprobs", /logprobs/],
    ["modalities other than text", { modalities: ["audio"] }, "modalities.0", /text/],
    ["no messages", { messages: [] }, "messages", /./],
    ["an unknown role", { messages: [{ role: "usr", content: "x" }] }, null, /did you mean "user"/],
    [
      "a picture",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
      "messages.0.content.0.type",
      /only parts of type text/,
    ],
    ["two limits that differ", { max_tokens: 4, max_completion_tokens: 5 }, "max_tokens", /5/],
    ["store", { store: true }, "store", /not stored/],
  ];
  test.each(cases)("%s", async (_, body, param, message) => {
    const response = await served.post(path, { messages, max_tokens: 2, ...body });
    const { error } = (await response.json()) as { error: { message: string; type: string; param: string | null; code: string } };
    expect([response.status, error.param]).toEqual([400, param]);
    expect(error.message).toMatch(message);
    expect(error.type).toBe("invalid_request_error");
  });

  test("a prompt longer than the context, with the counts", async () => {
    const response = await served.post(path, { messages: [{ role: "user", content: "cat ".repeat(600) }] });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string; code: string } };
    expect(error.code).toBe("context_length_exceeded");
    expect(error.message).toMatch(/\d+ tokens, but the context holds 512/);
  });
});

test("an unknown model is 404 with the nearest", async () => {
  const response = await served.post(path, { messages, model: "storys" });
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({
    error: { code: "model_not_found", message: expect.stringContaining("did you mean stories") },
  });
});

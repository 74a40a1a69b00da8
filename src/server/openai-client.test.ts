/** The official client of OpenAI's API, against a running server. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ServedModel, serveStories } from "../../testing/serving.ts";

let served: ServedModel;
let client: OpenAI;
const connect = (options: Partial<ConstructorParameters<typeof OpenAI>[0]> = {}): OpenAI =>
  new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "secret", maxRetries: 0, ...options });
beforeAll(async () => {
  served = await serveStories({ apiKeys: ["secret"] });
  client = connect();
});
afterAll(() => served[Symbol.asyncDispose]());

const model = "stories";
const messages = [{ role: "user", content: "Tell me of a cat." }] as const;
const ask = { model, messages: [...messages], temperature: 0, max_completion_tokens: 8 };

describe("chat.completions", () => {
  test("create", async () => {
    const { choices, usage } = await client.chat.completions.create(ask);
    const direct = await served.model.chat(messages, { maxTokens: 8 });
    expect(choices[0]!.message.content).toBe(direct.text);
    expect(usage!.completion_tokens).toBe(8);
    expect(usage!.prompt_tokens_details!.cached_tokens).toBeGreaterThanOrEqual(0);
  });

  test("stream", async () => {
    const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
    let text = "";
    let finish: string | null = null;
    let tokens = 0;
    for await (const { choices, usage } of stream) {
      text += choices[0]?.delta.content ?? "";
      finish = choices[0]?.finish_reason ?? finish;
      tokens = usage?.completion_tokens ?? tokens;
    }
    expect([text, finish, tokens]).toEqual([(await client.chat.completions.create(ask)).choices[0]!.message.content, "length", 8]);
  });

  test("the client's own stream runner", async () => {
    const runner = client.chat.completions.stream(ask);
    const { choices } = await runner.finalChatCompletion();
    expect(choices[0]!.message.content).toBe((await client.chat.completions.create(ask)).choices[0]!.message.content);
  });

  test("n, stop, seed and logprobs", async () => {
    const { choices } = await client.chat.completions.create({ ...ask, n: 2, temperature: 1, seed: 3, logprobs: true, top_logprobs: 3 });
    expect(choices).toHaveLength(2);
    expect(choices[0]!.logprobs!.content![0]!.top_logprobs).toHaveLength(3);
    const whole = await served.model.chat(messages, { maxTokens: 40 });
    const stopped = await client.chat.completions.create({ ...ask, max_completion_tokens: 40, stop: "." });
    expect(stopped.choices[0]!.message.content).toBe(whole.text.split(".")[0]);
    expect(stopped.choices[0]!.finish_reason).toBe("stop");
  });

  test("abort ends the writing", async () => {
    // Slow enough that tokens come one by one: natively this model writes tens of them before the client reads the third.
    await using slow = await serveStories({ apiKeys: ["secret"] }, { backend: "reference" });
    const controller = new AbortController();
    const stream = await connect({ baseURL: `${slow.url}/v1` }).chat.completions.create(
      { ...ask, max_completion_tokens: 400, stream: true },
      { signal: controller.signal },
    );
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 3) controller.abort();
    expect(chunks).toBeLessThan(50);
    await expect.poll(() => slow.server.active(), { timeout: 20_000 }).toBe(0);
    expect(slow.model.stats().generatedTokens).toBeLessThan(100);
  });
});

describe("the other endpoints", () => {
  test("completions", async () => {
    const { choices } = await client.completions.create({ model, prompt: "Once upon a time", max_tokens: 6, temperature: 0 });
    expect(choices[0]!.text).toBe((await served.model.generate("Once upon a time", { maxTokens: 6 })).text);
  });

  test("models", async () => {
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toEqual(["stories"]);
    expect((await client.models.retrieve("stories")).id).toBe("stories");
  });

  test("responses", async () => {
    const input = "Tell me of a cat.";
    const response = await client.responses.create({ model, input, temperature: 0, max_output_tokens: 8 });
    expect(response.output_text).toBe((await served.model.chat(messages, { maxTokens: 8 })).text);
    const runner = client.responses.stream({ model, input, temperature: 0, max_output_tokens: 8 });
    let deltas = "";
    for await (const event of runner) if (event.type === "response.output_text.delta") deltas += event.delta;
    expect(deltas).toBe(response.output_text);
    expect((await client.responses.retrieve(response.id)).id).toBe(response.id);
    await client.responses.delete(response.id);
    await expect(client.responses.retrieve(response.id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

describe("errors are those that the client knows", () => {
  test.each<[string, () => Promise<unknown>, { readonly prototype: object }]>([
    ["a wrong key", () => connect({ apiKey: "wrong" }).models.list(), OpenAI.AuthenticationError],
    ["an unknown model", () => client.chat.completions.create({ ...ask, model: "storys" }), OpenAI.NotFoundError],
    ["a wrong value", () => client.chat.completions.create({ ...ask, temperature: -1 }), OpenAI.BadRequestError],
    [
      "a prompt too long",
      () => client.chat.completions.create({ ...ask, messages: [{ role: "user", content: "cat ".repeat(600) }] }),
      OpenAI.BadRequestError,
    ],
  ])("%s", async (_, call, kind) => {
    const error = await call().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ code: expect.any(String), message: expect.any(String), requestID: expect.any(String) });
  });
});

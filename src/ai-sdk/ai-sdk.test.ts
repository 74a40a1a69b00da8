/** The provider under the AI SDK itself, on a real, tiny model. */
import { embedMany, generateText, streamText } from "ai";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type FrugalModel, load } from "../serving/model.ts";
import { frugal, frugalEmbedding } from "./index.ts";
import { messagesOf } from "./messages.ts";

const root = new URL("../../", import.meta.url);
const path = (name: string): string => fileURLToPath(new URL(name, root));
let model: FrugalModel;
beforeAll(async () => {
  model = await load(path("models/stories/stories.gguf"), { threads: 1 });
});
afterAll(() => model.dispose());

const prompt = "Tell me of a cat.";
const conversation = [{ role: "user", content: prompt }];

describe("generateText", () => {
  test("gives the text of the model, its usage and the reason", async () => {
    const answer = await generateText({ model: frugal(model), prompt, maxOutputTokens: 8 });
    const direct = await model.chat(conversation, { maxTokens: 8 });
    expect(answer.text).toBe(direct.text);
    expect(answer.finishReason).toBe("length");
    expect(answer.usage).toMatchObject({ inputTokens: direct.promptIds.length, outputTokens: 8 });
    expect(answer.usage.inputTokenDetails.cacheReadTokens).toBeGreaterThanOrEqual(0);
    expect(answer.warnings).toEqual([]);
  });

  test("passes settings on", async () => {
    const settings = { temperature: 1, topP: 0.9, topK: 40, seed: 7, presencePenalty: 0.5, frequencyPenalty: 0.5 };
    const answer = await generateText({ model: frugal(model), prompt, maxOutputTokens: 20, ...settings });
    expect(answer.text).toBe((await model.chat(conversation, { maxTokens: 20, ...settings })).text);
    const stopped = await generateText({ model: frugal(model), prompt, maxOutputTokens: 60, stopSequences: ["."] });
    expect([stopped.finishReason, stopped.text.includes(".")]).toEqual(["stop", false]);
  });

  test("takes options of generate as provider options, and refuses unknown ones", async () => {
    const answer = await generateText({
      model: frugal(model),
      prompt,
      maxOutputTokens: 3,
      providerOptions: { frugal: { logprobs: 2, ignoreEnd: true } },
    });
    expect(answer.providerMetadata!["frugal"]!["logprobs"]).toHaveLength(3);
    const wrong = generateText({ model: frugal(model), prompt, maxRetries: 0, providerOptions: { frugal: { minp: 0.1 } } });
    await expect(wrong).rejects.toThrow(/did you mean minP/);
  });

  test("a conversation with a system message", async () => {
    const messages = [{ role: "user" as const, content: prompt }];
    const answer = await generateText({ model: frugal(model), system: "Be kind.", messages, maxOutputTokens: 4 });
    expect(answer.text).toBe((await model.chat([{ role: "system", content: "Be kind." }, ...messages], { maxTokens: 4 })).text);
  });

  test("ends with the signal", async () => {
    const abortSignal = AbortSignal.timeout(30);
    const answer = generateText({
      model: frugal(model),
      prompt,
      maxRetries: 0,
      providerOptions: { frugal: { ignoreEnd: true } },
      abortSignal,
    });
    await expect(answer).rejects.toMatchObject({ name: "TimeoutError" });
  });
});

describe("streamText", () => {
  test("streams the same text, and ends with usage", async () => {
    const whole = await generateText({ model: frugal(model), prompt, maxOutputTokens: 12 });
    const { textStream, usage, finishReason } = streamText({ model: frugal(model), prompt, maxOutputTokens: 12 });
    const deltas: string[] = [];
    for await (const delta of textStream) deltas.push(delta);
    expect(deltas.length).toBeGreaterThan(3);
    expect(deltas.join("")).toBe(whole.text);
    expect([(await usage).outputTokens, await finishReason]).toEqual([12, "length"]);
  });

  test("reports what goes wrong", async () => {
    const errors: unknown[] = [];
    const { textStream } = streamText({
      model: frugal(model),
      prompt: "cat ".repeat(2000),
      maxRetries: 0,
      onError: ({ error }) => void errors.push(error),
    });
    for await (const _ of textStream);
    expect(errors).toMatchObject([{ code: "FRUGAL_CONTEXT_FULL" }]);
  });
});

describe("prompts", () => {
  test("calls of tools, their results and reasoning become messages that templates read", () => {
    expect(
      messagesOf([
        {
          role: "user",
          content: [
            { type: "text", text: "Wea" },
            { type: "text", text: "ther?" },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "Hm." },
            { type: "tool-call", toolCallId: "1", toolName: "weather", input: { city: "Oslo" } },
          ],
        },
        {
          role: "tool",
          content: [{ type: "tool-result", toolCallId: "1", toolName: "weather", output: { type: "json", value: { celsius: 3 } } }],
        },
      ]),
    ).toEqual([
      { role: "user", content: "Weather?" },
      {
        role: "assistant",
        content: "",
        reasoning_content: "Hm.",
        tool_calls: [{ id: "1", type: "function", function: { name: "weather", arguments: { city: "Oslo" } } }],
      },
      { role: "tool", tool_call_id: "1", name: "weather", content: '{"celsius":3}' },
    ]);
  });

  test("files are refused by name", async () => {
    const image = { type: "image" as const, image: new Uint8Array([137, 80, 78, 71]) };
    const answer = generateText({ model: frugal(model), messages: [{ role: "user", content: [image] }], maxRetries: 0 });
    await expect(answer).rejects.toThrow(/has a part of type "file", but the model reads text/);
  });
});

test("embedMany gives the encoder's vectors", async () => {
  await using encoder = await load(path("testing/fixtures/families/bert"), { backend: "reference" });
  const values = ["the cat", "a dog"];
  const { embeddings, usage } = await embedMany({
    model: frugalEmbedding(encoder),
    values,
    providerOptions: { frugal: { normalize: true } },
  });
  expect(embeddings).toEqual((await encoder.embed(values, { normalize: true })).map((vector) => [...vector]));
  expect(usage.tokens).toBeGreaterThan(values.length);
  expect(() => frugal(encoder)).toThrow(/is an encoder/);
  expect(() => frugalEmbedding(model)).toThrow(/has no embeddings/);
});

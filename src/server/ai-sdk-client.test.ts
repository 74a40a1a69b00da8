/** The AI SDK's provider for servers of OpenAI's shape, against a running server. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServedModel, serveStories } from "../../testing/serving.ts";

let served: ServedModel;
let provider: ReturnType<typeof createOpenAICompatible>;
beforeAll(async () => {
  served = await serveStories({ apiKeys: ["secret"] });
  provider = createOpenAICompatible({ name: "frugal", baseURL: `${served.url}/v1`, apiKey: "secret", includeUsage: true });
});
afterAll(() => served[Symbol.asyncDispose]());

const prompt = "Tell me of a cat.";
const settings = { temperature: 0, maxOutputTokens: 10 };

test("generateText gives the model's text", async () => {
  const direct = await served.model.chat([{ role: "user", content: prompt }], { maxTokens: 10 });
  const { text, usage, finishReason } = await generateText({ model: provider("stories"), prompt, ...settings });
  expect([text, finishReason]).toEqual([direct.text, "length"]);
  expect(usage).toMatchObject({ inputTokens: direct.promptIds.length, outputTokens: 10 });
});

test("streamText gives the same text", async () => {
  const { text } = await generateText({ model: provider("stories"), prompt, ...settings });
  const { textStream, usage } = streamText({ model: provider("stories"), prompt, ...settings });
  let streamed = "";
  for await (const delta of textStream) streamed += delta;
  expect(streamed).toBe(text);
  expect((await usage).outputTokens).toBe(10);
});

test("an unknown model is an error with the server's message", async () => {
  await expect(generateText({ model: provider("storys"), prompt, maxRetries: 0 })).rejects.toThrow(/did you mean stories/);
});

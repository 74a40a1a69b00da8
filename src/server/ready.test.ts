/** GET /ready: 503 while the queue is full, and while the server shuts down; clients come back by themselves. */
import OpenAI from "openai";
import { expect, test } from "vitest";
import { serveStories } from "../../testing/serving.ts";

const long = { messages: [{ role: "user", content: "Hi" }], max_tokens: 400, ignore_eos: true };

test("a full queue is not ready, refuses with 429 and Retry-After, and the official client comes back", async () => {
  await using served = await serveStories({}, { sequences: 1, queue: 1 });
  const status = async (): Promise<number> => (await fetch(`${served.url}/ready`)).status;
  expect(await status()).toBe(200);
  const controller = new AbortController();
  const busy = Promise.allSettled(
    [1, 2].map(() => served.post("/v1/chat/completions", { ...long, stream: true }, { signal: controller.signal })),
  );
  await expect.poll(() => served.model.stats().waiting, { timeout: 20_000 }).toBe(1);
  expect(await status()).toBe(503);
  const refused = await served.post("/v1/chat/completions", { ...long, max_tokens: 1 });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "none", maxRetries: 3 });
  const ask = { model: "stories", messages: [{ role: "user" as const, content: "Hi" }], max_completion_tokens: 2 };
  await expect(client.chat.completions.create(ask, { maxRetries: 0 })).rejects.toBeInstanceOf(OpenAI.RateLimitError);
  const coming = client.chat.completions.create(ask);
  setTimeout(() => controller.abort(), 300);
  expect((await coming).choices).toHaveLength(1);
  await busy;
  expect(await status()).toBe(200);
});

/** POST /tokenize and /detokenize, GET /v1/models. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServedModel, serveStories } from "../../testing/serving.ts";

let served: ServedModel;
beforeAll(async () => {
  served = await serveStories();
});
afterAll(() => served[Symbol.asyncDispose]());
const json = async (response: Response): Promise<Record<string, unknown>> => (await response.json()) as Record<string, unknown>;

test("a text becomes ids, with and without the special ones, and back", async () => {
  const tokenizer = await served.model.tokenizer();
  const prompt = "Once upon a time é";
  for (const addSpecial of [true, false]) {
    const answer = await json(await served.post("/tokenize", { prompt, add_special_tokens: addSpecial, return_token_strs: true }));
    const ids = [...tokenizer.encode(prompt, { addSpecial })];
    expect(answer).toEqual({ count: ids.length, max_model_len: 512, tokens: ids, token_strs: ids.map((id) => tokenizer.pieceText(id)) });
  }
  const tokens = [...tokenizer.encode(prompt, { addSpecial: false })];
  expect(await json(await served.post("/detokenize", { tokens }))).toEqual({ prompt });
});

test("a conversation becomes the ids that answering it reads", async () => {
  const messages = [{ role: "user", content: "Hello" }];
  const { tokens } = await json(await served.post("/tokenize", { model: "stories", messages }));
  expect(tokens).toEqual((await served.model.chat(messages, { maxTokens: 0 })).promptIds);
});

test.each<[string, object]>([
  ["/tokenize", {}],
  ["/tokenize", { prompt: "a", messages: [{ role: "user", content: "b" }] }],
  ["/tokenize", { messages: [{ role: "user", content: "b" }], add_special_tokens: false }],
  ["/tokenize", { prompt: "a", promt: "b" }],
  ["/detokenize", { tokens: [99_999_999] }],
  ["/detokenize", { tokens: [-1] }],
  ["/detokenize", { tokens: ["a"] }],
])("%s refuses %j", async (path, body) => {
  expect((await served.post(path, body)).status).toBe(400);
});

test("models are listed and found, under the name served and as default", async () => {
  const list = await json(await fetch(`${served.url}/v1/models`));
  const [card] = list["data"] as Record<string, unknown>[];
  expect(card).toMatchObject({
    id: "stories",
    object: "model",
    owned_by: "frugal",
    root: served.model.name,
    parent: null,
    max_model_len: 512,
  });
  for (const name of ["stories", "default"]) expect(await json(await fetch(`${served.url}/v1/models/${name}`))).toEqual(card);
  const missing = await fetch(`${served.url}/v1/models/${encodeURIComponent("a/storys")}`);
  expect(missing.status).toBe(404);
  expect(await missing.json()).toMatchObject({ error: { code: "model_not_found" } });
});

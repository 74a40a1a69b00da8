/** POST /v1/embeddings, /v1/rerank and /rerank, with encoders served beside a model that writes. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeCrossEncoder } from "../../testing/cross-encoder.ts";
import { postTo, stories } from "../../testing/serving.ts";

import { type FrugalModel, load } from "../serving/model.ts";
import { type RunningServer, serve } from "./serve.ts";

const bert = fileURLToPath(new URL("../../testing/fixtures/families/bert", import.meta.url));
let models: Record<string, FrugalModel>;
let made: Awaited<ReturnType<typeof writeCrossEncoder>>;
let server: RunningServer;
let post: ReturnType<typeof postTo>;

beforeAll(async () => {
  made = await writeCrossEncoder();
  models = {
    stories: await load(stories, { threads: 1, context: 64 }),
    encoder: await load(bert, { backend: "reference" }),
    judge: await load(made.path, { backend: "reference" }),
  };
  server = await serve(models, { port: 0, log: "silent" });
  post = postTo(server.url);
});
afterAll(async () => {
  await server.close({ grace: 0 });
  for (const model of Object.values(models)) await model.dispose();
  made.remove();
});

interface Embeddings {
  readonly data: readonly { readonly index: number; readonly embedding: number[] | string }[];
  readonly model: string;
  readonly usage: Record<string, number>;
}

describe("embeddings", () => {
  const ask = async (body: object): Promise<Embeddings> => {
    const response = await post("/v1/embeddings", body);
    expect(response.status).toBe(200);
    return (await response.json()) as Embeddings;
  };

  test("are those of the model, at length 1, of texts and of ids", async () => {
    const [expected] = await models["encoder"]!.embed("the cat", { normalize: true });
    const ids = [...(await models["encoder"]!.tokenizer()).encode("the cat")];
    for (const input of ["the cat", ["the cat"], ids, [ids]]) {
      const { data, model, usage } = await ask({ input });
      expect(data).toEqual([{ object: "embedding", index: 0, embedding: [...expected!] }]);
      expect([model, usage]).toEqual(["encoder", { prompt_tokens: ids.length, total_tokens: ids.length }]);
    }
  });

  test("come in the order of many texts", async () => {
    const input = Array.from({ length: 150 }, (_, i) => (i % 3 === 0 ? "the cat" : "a dog sat"));
    const { data } = await ask({ input });
    expect(data.map(({ index }) => index)).toEqual(input.map((_, i) => i));
    expect(data[148]!.embedding).toEqual(data[1]!.embedding);
    expect(data[147]!.embedding).toEqual(data[0]!.embedding);
  });

  test("in base64 are the same numbers", async () => {
    const plain = (await ask({ input: "the cat" })).data[0]!.embedding;
    const bytes = Buffer.from((await ask({ input: "the cat", encoding_format: "base64" })).data[0]!.embedding as string, "base64");
    expect([...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)]).toEqual(plain);
  });

  test("can be shortened, and are at length 1 again", async () => {
    const whole = (await ask({ input: "the cat" })).data[0]!.embedding as number[];
    const short = (await ask({ input: "the cat", dimensions: 5 })).data[0]!.embedding as number[];
    expect(short).toHaveLength(5);
    expect(Math.hypot(...short)).toBeCloseTo(1, 5);
    expect(short[1]! / short[0]!).toBeCloseTo(whole[1]! / whole[0]!, 4);
  });

  test("of texts too long are refused, or cut", async () => {
    const input = "the cat ".repeat(3000);
    expect((await post("/v1/embeddings", { input })).status).toBe(400);
    expect((await ask({ input, truncate: true })).usage["prompt_tokens"]).toBe(models["encoder"]!.contextLength);
  });

  test.each<[string, object, RegExp]>([
    ["no input", {}, /input/],
    ["an empty text", { input: "" }, /input/],
    ["a mixed list", { input: ["a", 5] }, /input/],
    ["an id beyond the vocabulary", { input: [999_999] }, /999999 is not a token/],
    ["too many dimensions", { input: "a", dimensions: 4096 }, /dimensions: is 4096/],
    ["a model that writes", { input: "a", model: "stories" }, /writes text and has no embeddings/],
    ["another form", { input: "a", encoding_format: "int8" }, /encoding_format/],
  ])("%s is 400", async (_, body, message) => {
    const response = await post("/v1/embeddings", body);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: { message: string } }).error.message).toMatch(message);
  });
});

describe("rerank", () => {
  const documents = ["a dog", "the cat sat on the mat", "the"];
  interface Ranking {
    readonly results: readonly {
      readonly index: number;
      readonly relevance_score: number;
      readonly document?: { readonly text: string };
    }[];
    readonly model: string;
  }
  const rank = async (body: object, path = "/v1/rerank"): Promise<Ranking> => {
    const response = await post(path, { query: "the cat", documents, ...body });
    expect(response.status).toBe(200);
    return (await response.json()) as Ranking;
  };

  test.each(["judge", "encoder"])("orders documents by the scores of %s", async (model) => {
    const scores = await models[model]!.rerank("the cat", documents);
    const order = scores.map((score, index) => ({ index, relevance_score: score })).sort((a, b) => b.relevance_score - a.relevance_score);
    expect((await rank({ model })).results).toEqual(order);
    expect((await rank({ model, top_n: 1 }, "/rerank")).results).toEqual(order.slice(0, 1));
  });

  test("returns documents where that is asked for, and takes them as objects", async () => {
    const { results } = await rank({ model: "judge", documents: documents.map((text) => ({ text })), return_documents: true });
    for (const { index, document } of results) expect(document).toEqual({ text: documents[index] });
  });

  test("takes the first encoder where none is named", async () => {
    expect((await rank({})).model).toBe("encoder");
  });

  test("says of a model that does not fit which would", async () => {
    const response = await post("/v1/rerank", { query: "a", documents, model: "stories" });
    expect(response.status).toBe(400);
    expect(JSON.stringify(await response.json())).toMatch(/take a cross-encoder/);
  });

  test("documents too long are refused, or cut", async () => {
    const long = "the cat ".repeat(3000);
    expect((await post("/v1/rerank", { query: "a", documents: [long], model: "judge" })).status).toBe(400);
    expect((await rank({ documents: [long], model: "judge", truncate: true })).results).toHaveLength(1);
  });
});

/** Scores of documents, on a tiny encoder with and without a classifier. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileURLToPath } from "node:url";
import { classifierBias, classifierWeights, writeCrossEncoder } from "../../testing/cross-encoder.ts";
import { forward, forwardLoading } from "./forward.ts";
import { loadParts } from "./load-parts.ts";
import { type FrugalModel, load } from "./model.ts";

const families = fileURLToPath(new URL("../../testing/fixtures/families/", import.meta.url));
const query = "the cat sat";
const documents = ["a dog", "the cat sat on the mat", "the"];

describe("a cross-encoder", () => {
  let made: Awaited<ReturnType<typeof writeCrossEncoder>>;
  let model: FrugalModel;
  beforeAll(async () => {
    made = await writeCrossEncoder();
    model = await load(made.path, { backend: "reference" });
  });
  afterAll(async () => {
    await model.dispose();
    made.remove();
  });

  /** The pooler's output of the pair, by the way that is compared with transformers. */
  async function expected(ids: readonly number[], segments: readonly number[]): Promise<number> {
    const inputs = new Map(
      Object.entries({ input_ids: ids, token_type_ids: segments }).map(([name, values]) => [
        name,
        { shape: [1, ids.length], data: Float32Array.from(values) },
      ]),
    );
    const { cache: _, ...loading } = forwardLoading(inputs);
    const parts = await loadParts(`${families}bert`, { backend: "reference", context: loading.context!, sequences: 1 });
    const pooled = (await forward(parts, inputs)).get("pooler_output")!.data;
    await parts.dispose();
    const weights = classifierWeights(1);
    return 1 / (1 + Math.exp(-weights.reduce((sum, weight, i) => sum + weight * Number(pooled[i]), classifierBias)));
  }

  test("gives the logistic function of its logit for query and document read together", async () => {
    const tokenizer = await model.tokenizer();
    const scores = await model.rerank(query, documents);
    const first = [...tokenizer.encode(query)];
    for (const [i, document] of documents.entries()) {
      const second = [...tokenizer.encode(document)].slice(1);
      const segments = [...first.map(() => 0), ...second.map(() => 1)];
      expect(scores[i]).toBeCloseTo(await expected([...first, ...second], segments), 5);
    }
    expect(new Set(scores).size).toBe(3);
  });

  test("documents too long are refused, or cut where that is asked for", async () => {
    const long = "the cat ".repeat(500);
    await expect(model.rerank(query, [long])).rejects.toMatchObject({ code: "FRUGAL_CONTEXT_FULL" });
    const [cut, short] = await model.rerank(query, [long, documents[1]!], { truncate: true });
    expect(cut).toBeGreaterThan(0);
    expect(short).toBe((await model.rerank(query, [documents[1]!]))[0]);
    await expect(model.rerank(long, ["a"], { truncate: true })).rejects.toMatchObject({ code: "FRUGAL_CONTEXT_FULL" });
  });

  test("no documents have no scores, and the signal ends it", async () => {
    expect(await model.rerank(query, [])).toEqual([]);
    await expect(model.rerank(query, documents, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
    await expect(model.rerank(query, [5 as never])).rejects.toThrow(/documents are no list of strings/);
  });
});

test("an encoder without a classifier gives the cosine of embeddings", async () => {
  await using model = await load(`${families}bert`, { backend: "reference" });
  const [a, b] = await model.embed([query, documents[0]!]);
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const [score] = await model.rerank(query, documents);
  expect(score).toBeCloseTo(dot(a!, b!) / Math.sqrt(dot(a!, a!) * dot(b!, b!)), 5);
});

test("models that score nothing are refused by name", async () => {
  await using text = await load(`${families}llama-3`, { backend: "reference" });
  await expect(text.rerank(query, documents)).rejects.toMatchObject({ code: "FRUGAL_UNSUPPORTED" });
  const made = await writeCrossEncoder(3);
  await using classifier = await load(made.path, { backend: "reference" });
  await expect(classifier.rerank(query, documents)).rejects.toThrow(/classifier of 3 labels/);
  made.remove();
});

test("embed takes token ids too", async () => {
  await using model = await load(`${families}bert`, { backend: "reference" });
  const ids = (await model.tokenizer()).encode(query);
  const [byText] = await model.embed(query);
  expect(await model.embed([ids, [...ids], query])).toEqual([byText, byText, byText]);
  await expect(model.embed([[1.5]])).rejects.toMatchObject({ code: "FRUGAL_BAD_ARGUMENT" });
  await expect(model.embed([[100_000]])).rejects.toThrow(/100000 is not a token/);
});

/** Zero-cost proxies against their formulas in PyTorch, and the search that ranks by them. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openTrainable, packTexts, neededBy } from "../../../testing/tuning.ts";
import { createReferenceBackend } from "../../backends/reference/backend.ts";
import { untrainedModel } from "../../models/untrained.ts";
import type { Batch } from "../../training/batch.ts";
import { withLoss } from "../../training/loss.ts";
import { type ArchitectureSpace, searchArchitectures, type SearchOptions } from "./architecture-search.ts";
import { gradientNorm } from "./gradient-norm.ts";
import { snip } from "./snip.ts";
import { synflow } from "./synflow.ts";
import type { Candidate, ZeroCostProxy } from "./zero-cost.ts";
import { zico } from "./zico.ts";

const backend = createReferenceBackend();
const truth = JSON.parse(readFileSync(new URL("../../../testing/fixtures/zero-cost.json", import.meta.url), "utf8")) as {
  readonly texts: number[][];
  readonly [proxy: string]: unknown;
};
const proxies: readonly ZeroCostProxy[] = [gradientNorm, snip, zico, synflow];
const refused = (message: RegExp, code = "FRUGAL_BAD_ARGUMENT"): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

async function candidateOf(family: string): Promise<Candidate & { close(): Promise<void> }> {
  const { trainable, close } = await openTrainable(family);
  const { graph, weights } = trainable;
  const batches = truth.texts.map((text): Batch => {
    const { inputs, symbols } = packTexts([text]);
    return { inputs: neededBy(withLoss(graph), inputs), symbols, examples: [] };
  });
  return { graph, weights, batches, backend, close };
}

test.each(proxies)("$name is what its formula gives in PyTorch", async (proxy) => {
  const { close, ...candidate } = await candidateOf("llama-3");
  const wanted = truth[proxy.name] as number;
  expect(Math.abs((await proxy.score(candidate)) / wanted - 1)).toBeLessThan(1e-4);
  await close();
});

test("synflow of models deeper than F32 can hold is still a number, and grows with depth", async () => {
  const score = async (layers: number): Promise<number> => {
    const { model, weights } = untrainedModel("deep", { ...config, num_hidden_layers: layers, initializer_range: 0.3 }, 1);
    return synflow.score({ graph: model.graphs()["score"]!, weights, batches: [], backend });
  };
  const [shallow, deep] = [await score(2), await score(40)];
  // ln of the largest F32 is 88.7.
  expect(deep).toBeGreaterThan(100);
  expect(deep).toBeGreaterThan(shallow);
});

test("proxies refuse what they cannot rate", async () => {
  const { close, ...candidate } = await candidateOf("mixtral");
  await expect(synflow.score(candidate)).rejects.toThrow(refused(/what stands for "routeIds"/, "FRUGAL_UNSUPPORTED"));
  await expect(zico.score({ ...candidate, batches: candidate.batches.slice(0, 1) })).rejects.toThrow(refused(/1 batches; give at least 2/));
  await close();
});

const config = {
  model_type: "llama",
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};
const space: ArchitectureSpace = { widths: [16, 24], layers: [1, 2], heads: [2, 4] };
const search = async (changes: Partial<SearchOptions> = {}): ReturnType<typeof searchArchitectures> =>
  searchArchitectures({ config, space, parameters: { most: 20_000, least: 1 }, proxies: [synflow], backend, ...changes });

test("the search ranks every candidate within the budget, and its best can be trained", async () => {
  const all = await search({ proxies: [snip, synflow] });
  expect(all).toHaveLength(8);
  expect(all.map(({ meanRank }) => meanRank)).toEqual(all.map(({ meanRank }) => meanRank).toSorted((a, b) => a - b));
  expect(Object.keys(all[0]!.scores)).toEqual(["snip", "synflow"]);
  const best = untrainedModel("best", all[0]!.config, 1).model;
  expect([best.parameters, best.layers]).toEqual([all[0]!.parameters, all[0]!.layers]);
  // 40·16 embeddings; a layer of 4·16² + 3·16·40 and two norms; and the last norm.
  expect(all.find(({ width, layers }) => width === 16 && layers === 1)!.parameters).toBe(40 * 16 + 4 * 256 + 3 * 16 * 40 + 3 * 16);
  // Depth and width both add to the flow.
  const scoreOf = (width: number, layers: number): number =>
    all.find((each) => each.width === width && each.layers === layers)!.scores["synflow"]!;
  expect(scoreOf(24, 2)).toBeGreaterThan(scoreOf(16, 1));
});

test("search: space, parameters, proxies, batches, candidates, seed", async () => {
  const names = async (changes: Partial<SearchOptions>): Promise<string[]> =>
    (await search(changes)).map(({ width, layers, heads, keyValueHeads, hidden }) =>
      [width, layers, heads, keyValueHeads, hidden].join("/"),
    );
  expect(await names({ space: { ...space, heads: [4], layers: [1], keyValueHeads: [1, 2, 3], widths: [16] } })).toEqual(
    expect.arrayContaining(["16/1/4/1/40", "16/1/4/2/40"]),
  );
  expect(new Set((await search({ space: { ...space, hiddenRatios: [1, 4] } })).map(({ hidden }) => hidden))).toEqual(
    new Set([16, 24, 64, 96]),
  );
  const small = await search({ parameters: { most: 8000 } });
  expect(small.every(({ parameters }) => parameters <= 8000 && parameters >= 5600)).toBe(true);
  expect((await search({ parameters: { most: 20_000, least: 10_000 } })).every(({ parameters }) => parameters >= 10_000)).toBe(true);
  expect(Object.keys((await search({ proxies: [zico] }))[0]!.scores)).toEqual(["zico"]);
  const some = await names({ candidates: 3 });
  expect(some).toHaveLength(3);
  expect((await names({ candidates: 3 })).toSorted()).toEqual(some.toSorted());
  const seeds = await Promise.all([1, 2, 3].map(async (seed) => (await names({ candidates: 3, seed })).toSorted().join()));
  expect(new Set(seeds).size).toBeGreaterThan(1);
  const { inputs, symbols } = packTexts([[1, 2, 3]]);
  const { virtual: _, ...plain } = inputs;
  const other = await search({ batches: [{ inputs: plain, symbols, examples: [] }], proxies: [snip] });
  expect(other[0]!.scores["snip"]).not.toBe((await search({ proxies: [snip] }))[0]!.scores["snip"]);
});

test("search tells how far it is, and stops when asked", async () => {
  const seen: number[] = [];
  await search({ proxies: [synflow], onProgress: (done, total) => seen.push(done / total) });
  expect([seen[0], seen.at(-1), seen.length]).toEqual([0, 1, 9]);
  const controller = new AbortController();
  const stopped = search({ signal: controller.signal, onProgress: (done) => done === 2 && controller.abort(new Error("enough")) });
  await expect(stopped).rejects.toThrow("enough");
});

test("search refuses budgets and spaces that leave nothing", async () => {
  await expect(search({ parameters: { most: 100 } })).rejects.toThrow(
    refused(/candidates have 3632 to \d+ parameters, none between 70 and 100/),
  );
  await expect(search({ parameters: { most: 1, least: 2 } })).rejects.toThrow(refused(/no range/));
  await expect(search({ space: { ...space, heads: [7] } })).rejects.toThrow(refused(/no width is divided/));
  await expect(search({ space: { ...space, widths: [] } })).rejects.toThrow(refused(/widths is empty/));
  await expect(search({ space: { ...space, widths: [0] } })).rejects.toThrow(refused(/widths is 0/));
  await expect(search({ space: { ...space, hiddenRatios: [-1] } })).rejects.toThrow(refused(/hiddenRatios has -1/));
  await expect(search({ space: { ...space, width: [3] } as ArchitectureSpace })).rejects.toThrow(refused(/did you mean widths/));
  await expect(search({ proxies: [] })).rejects.toThrow(refused(/no proxies/));
  await expect(search({ candidates: 0 })).rejects.toThrow(refused(/candidates is 0/));
});

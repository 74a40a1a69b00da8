/**
 * A small search over width, depth and heads under a budget of parameters: candidates are built, not trained, and ranked by zero-cost proxies.
 * Proxies disagree and none is always right (Abdelfattah et al. 2021, arXiv 2101.08134): the ranking is by the mean of their ranks.
 */
import type { Backend } from "../../backends/backend.ts";
import type { Model } from "../../models/family.ts";
import { untrainedModel } from "../../models/untrained.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import type { Batch } from "../../training/batch.ts";
import { idsBelow } from "../tuning/initial-numbers.ts";
import type { ZeroCostProxy } from "./zero-cost.ts";

export interface ArchitectureSpace {
  readonly widths: readonly number[];
  readonly layers: readonly number[];
  readonly heads: readonly number[];
  /** Of keys and values; as many as heads where absent. */
  readonly keyValueHeads?: readonly number[] | undefined;
  /** Channels of the feed-forward part a channel of the width, rounded to a multiple of 8; 8/3 where absent. */
  readonly hiddenRatios?: readonly number[] | undefined;
}

export interface SearchOptions {
  /** A Llama-like `config.json`; the sizes in it are replaced. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly space: ArchitectureSpace;
  /** Most parameters, embeddings and head included, and fewest: 7/10 of the most where absent. */
  readonly parameters: { readonly most: number; readonly least?: number | undefined };
  readonly proxies: readonly ZeroCostProxy[];
  readonly backend: Backend;
  /** What gradients are of; four of random tokens where absent. */
  readonly batches?: readonly Batch[] | undefined;
  /** At most so many are rated, drawn by the seed; 64 where absent. */
  readonly candidates?: number | undefined;
  readonly seed?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface Architecture {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly hidden: number;
}

export interface RankedArchitecture extends Architecture {
  readonly parameters: number;
  /** By the proxy's name. */
  readonly scores: Readonly<Record<string, number>>;
  /** 1 is the best; the mean over the proxies. */
  readonly meanRank: number;
  /** To begin training with. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * The candidates within the budget, best first. Throws FRUGAL_BAD_ARGUMENT where the space or the budget leaves none.
 * @example const [best] = await searchArchitectures({ config, space, parameters: { most: 1e6 }, proxies: [snip, zico], backend });
 */
export async function searchArchitectures(options: SearchOptions): Promise<RankedArchitecture[]> {
  const { config, proxies, backend, seed = 0, signal, onProgress } = options;
  checkSearch(options);
  const chosen = drawn(withinBudget(options), options.candidates ?? 64, seed);
  const rated: Omit<RankedArchitecture, "meanRank">[] = [];
  for (const [done, { model, ...architecture }] of chosen.entries()) {
    signal?.throwIfAborted();
    onProgress?.(done, chosen.length);
    const own = configOf(config, architecture);
    const { weights } = untrainedModel("search", own, seed);
    const batches = options.batches ?? randomBatches(model.vocabularySize, seed);
    const candidate = { graph: model.graphs()["score"]!, weights, batches, backend, signal };
    const scores: Record<string, number> = {};
    for (const proxy of proxies) scores[proxy.name] = await proxy.score(candidate);
    rated.push({ ...architecture, parameters: model.parameters, scores, config: own });
  }
  onProgress?.(chosen.length, chosen.length);
  const ranks = proxies.map(({ name }) => ranksOf(rated.map(({ scores }) => scores[name]!)));
  const meanRank = (i: number): number => ranks.reduce((sum, each) => sum + each[i]!, 0) / ranks.length;
  return rated
    .map((each, i) => ({ ...each, meanRank: meanRank(i) }))
    .toSorted((a, b) => a.meanRank - b.meanRank || a.parameters - b.parameters);
}

type Built = Architecture & { readonly model: Model };

function withinBudget({ config, space, parameters: { most, least = 0.7 * most } }: SearchOptions): Built[] {
  const all = architectures(space);
  const built = all.map((each): Built => ({ ...each, model: untrainedModel("search", configOf(config, each), 0).model }));
  const fitting = built.filter(({ model }) => model.parameters <= most && model.parameters >= least);
  if (fitting.length > 0) return fitting;
  const counts = built.map(({ model }) => model.parameters);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    built.length === 0
      ? "architecture search: no width is divided by a number of heads; give others"
      : `architecture search: the candidates have ${Math.min(...counts)} to ${Math.max(...counts)} parameters, none between ${Math.ceil(least)} and ${most}; change the budget or the space`,
    { most, least },
  );
}

/** Every combination whose heads divide: heads the width into even sizes, heads of keys and values the heads. */
function architectures({ widths, layers, heads, keyValueHeads, hiddenRatios = [8 / 3] }: ArchitectureSpace): Architecture[] {
  const found = new Map<string, Architecture>();
  for (const width of widths)
    for (const depth of layers)
      for (const count of heads)
        for (const groups of keyValueHeads ?? [count])
          for (const ratio of hiddenRatios) {
            if (width % (2 * count) !== 0 || count % groups !== 0) continue;
            const each = {
              width,
              layers: depth,
              heads: count,
              keyValueHeads: groups,
              hidden: Math.max(8, 8 * Math.round((ratio * width) / 8)),
            };
            found.set(JSON.stringify(each), each);
          }
  return [...found.values()];
}

const configOf = (config: Readonly<Record<string, unknown>>, of: Architecture): Readonly<Record<string, unknown>> => ({
  ...config,
  hidden_size: of.width,
  num_hidden_layers: of.layers,
  num_attention_heads: of.heads,
  num_key_value_heads: of.keyValueHeads,
  head_dim: of.width / of.heads,
  intermediate_size: of.hidden,
});

/** Some of the list, in its order, drawn without putting back. */
function drawn<T>(list: readonly T[], count: number, seed: number): readonly T[] {
  if (list.length <= count) return list;
  const left = list.map((_, i) => i);
  const dice = idsBelow(seed, "architectures", count, 2 ** 31);
  const chosen = [...dice].map((die) => left.splice(die % left.length, 1)[0]!);
  return chosen.toSorted((a, b) => a - b).map((i) => list[i]!);
}

const [batchCount, textsEach, textLength] = [4, 2, 16];

function randomBatches(vocabulary: number, seed: number): Batch[] {
  const rows = textsEach * textLength;
  const within = Array.from({ length: rows }, (_, i) => i % textLength);
  return Array.from({ length: batchCount }, (_, i) => {
    const tokens = idsBelow(seed, `batch ${i}`, rows, vocabulary);
    return {
      inputs: {
        tokens,
        positions: Int32Array.from(within),
        rowOffsets: Int32Array.from({ length: textsEach + 1 }, (__, s) => s * textLength),
        outputRows: Int32Array.from(within, (_place, row) => row),
        targets: Int32Array.from(within, (place, row) => (place === textLength - 1 ? -1 : tokens[row + 1]!)),
        lossWeights: new Float32Array(rows).fill(1 / (textsEach * (textLength - 1))),
      },
      symbols: { T: rows, S: textsEach, C: 1, R: rows },
      examples: [`random tokens ${i}`],
    };
  });
}

/** 1 for the largest; equal numbers share the mean of their places. */
function ranksOf(scores: readonly number[]): number[] {
  return scores.map((score) => {
    const above = scores.filter((other) => other > score).length;
    const equal = scores.filter((other) => other === score).length;
    return above + (equal + 1) / 2;
  });
}

function checkSearch(options: SearchOptions): void {
  const call = "architecture search";
  const known = ["config", "space", "parameters", "proxies", "backend", "batches", "candidates", "seed", "signal", "onProgress"];
  checkOptions(call, options, known);
  const { space, parameters, proxies, candidates } = options;
  checkOptions(`${call}: space`, space, ["widths", "layers", "heads", "keyValueHeads", "hiddenRatios"]);
  checkOptions(`${call}: parameters`, parameters, ["most", "least"]);
  wholeNumber(call, "candidates", candidates, 1);
  const sizes = { widths: space.widths, layers: space.layers, heads: space.heads, keyValueHeads: space.keyValueHeads ?? [1] };
  for (const [name, list] of Object.entries(sizes)) {
    if (!Array.isArray(list) || list.length === 0)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: ${name} is empty; give at least one number`, { option: name });
    for (const value of list) wholeNumber(call, name, value, 1, 1 << 20);
  }
  for (const ratio of space.hiddenRatios ?? [])
    if (!Number.isFinite(ratio) || ratio <= 0)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: hiddenRatios has ${String(ratio)}; give positive numbers`, {
        option: "hiddenRatios",
      });
  const { most, least = 0 } = parameters;
  if (!Number.isFinite(most) || !Number.isFinite(least) || most <= 0 || least > most)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${call}: parameters from ${String(least)} to ${String(most)} are no range; give least below most`,
      {
        option: "parameters",
      },
    );
  if (!Array.isArray(proxies) || proxies.length === 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: no proxies; give some, such as snip and zico`, { option: "proxies" });
}

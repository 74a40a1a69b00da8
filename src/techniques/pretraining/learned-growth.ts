/**
 * LiGO — learned growth (Wang et al. 2023, arXiv 2303.00980): a larger model's weights are a linear map of a smaller one's, and the map is trained
 * for a few steps before the large model is: W'ⱼ = Σₖ dⱼₖ · B_out Wₖ B_inᵀ, with one B for the residual stream and some for each small layer.
 * Here the map begins as Net2Net's (Chen et al. 2015, arXiv 1511.05641): channels and heads repeat, and columns are divided by how often. Without
 * noise, with widths that are multiples and new layers that begin as identity, the large model says exactly what the small one says.
 *
 * The caller trains `trainable` as any model (its weights are the map's), then asks `grownWeights` for the large model's.
 * Weights: `growth.width.stream` [large, small], `growth.width.K.query|key|value|mixed|inner` of small layer K, `growth.depth.PART` [large, small].
 */
import type { Backend, Weight, Weights } from "../../backends/backend.ts";
import { rewrite } from "../../graph/rewrite.ts";
import { type Graph, sourceName, type Value } from "../../graph/value.ts";
import { createBuilder } from "../../ops/builder.ts";
import type { Builder } from "../../ops/op.ts";
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import { type Shape, size } from "../../tensor/shape.ts";
import type { Trainable } from "../../training/trainable.ts";
import { normalNumbers } from "../tuning/initial-numbers.ts";
import { checkGrowth, headSizes, type HeadSizes, isShared, sourceChannels, type Space, spacesOf } from "./growth-spaces.ts";
import { type DepthOrder, expectPlaces, inLayer, layersIn, sourceLayers, weightShapes } from "./layer-names.ts";

export interface GrowthOptions {
  /** What new layers begin as: copies, or copies whose results are not added (identity, the default). */
  readonly depth?: DepthOrder | "identity" | undefined;
  /** Standard deviation of what is added to the widths' maps, so that copies can become different; 0.01 where absent. */
  readonly noise?: number | undefined;
  readonly seed?: number | undefined;
}

export interface Growth {
  /** The large model's graph over the small one's weights; the map alone is trained. */
  readonly trainable: Trainable;
  /** The large model's weights, by name, as results; no inputs. */
  readonly grown: Graph;
}

/** Parts whose result a layer adds to the stream. */
const endsOfLayer = /^(?:attention\.output|mlp\.down|attentionOutputNorm|mlpOutputNorm)(?:\.bias)?$/;

/**
 * Throws FRUGAL_BAD_ARGUMENT where the large model is not larger in width and depth alone, FRUGAL_UNSUPPORTED for models that are no plain
 * decoders.
 */
export function learnedGrowth(
  small: { readonly graph: Graph; readonly weights: Weights },
  large: Graph,
  options: GrowthOptions = {},
): Growth {
  const map = growthMap(small, large, options);
  const { b } = map;
  const widened = new Map<string, Value>();
  const wide = (name: string): Value => {
    const known = widened.get(name) ?? widen(map, name);
    widened.set(name, known);
    return known;
  };
  const stacked = new Map<string, Value>();
  const grow = (name: string): Value => {
    const place = inLayer(name);
    if (place === undefined) return wide(name);
    const rows = stacked.get(place.part) ?? mixDepth(map, place.part, wide);
    stacked.set(place.part, rows);
    return b.reshape(b.slice(rows, { axis: 0, start: place.layer, length: 1 }), { shape: map.large.get(name)! });
  };
  const grown = new Map([...map.large.keys()].map((name) => [name, grow(name)]));
  const graph = rewrite(large, (value) => (value.op === "weight" ? (grown.get(sourceName(value)) ?? value) : value));
  const weights = new Map([...small.weights, ...map.operators]);
  return {
    trainable: { graph, weights, trained: new Set(map.operators.keys()), virtualTokens: 0 },
    grown: { outputs: grown },
  };
}

/** The large model's weights. `operator` gives the numbers of the trained map (`LoadedModel.readWeight`); those it began with where absent. */
export async function grownWeights(
  { trainable, grown }: Growth,
  backend: Backend,
  operator?: (name: string) => Promise<Float32Array>,
): Promise<Weights> {
  const weights = new Map(trainable.weights);
  if (operator !== undefined)
    for (const name of trainable.trained) {
      const numbers = await operator(name);
      weights.set(name, given(weights.get(name)!.shape, numbers));
    }
  const loaded = await backend.load({ grown }, weights, { caps: { T: 1, S: 1, C: 1, R: 1 } });
  try {
    const found = await loaded.run({ program: "grown", symbols: { T: 1, S: 1, C: 1, R: 1 }, inputs: {} });
    const made = [...grown.outputs].map(([name, { shape }]) => [name, given(shape as Shape, found[name] as Float32Array)] as const);
    return new Map([...[...trainable.weights].filter(([name]) => name.startsWith("rope.")), ...made]);
  } finally {
    await loaded.dispose();
  }
}

interface GrowthMap {
  readonly b: Builder;
  readonly small: ReadonlyMap<string, Shape>;
  readonly large: ReadonlyMap<string, Shape>;
  readonly heads: HeadSizes;
  /** Layer of the small model that each of the large begins from, and which of them are new. */
  readonly sources: readonly number[];
  readonly isSilent: (layer: number, part: string) => boolean;
  readonly noise: number;
  readonly seed: number;
  /** What is trained; filled as the map is built. */
  readonly operators: Map<string, Weight>;
}

function growthMap(small: { readonly graph: Graph }, large: Graph, options: GrowthOptions): GrowthMap {
  const technique = "learned growth";
  checkOptions(technique, options, ["depth", "noise", "seed"]);
  const { depth = "identity", noise = 0.01, seed = 0 } = options;
  const depths: readonly string[] = ["stack", "interleave", "identity"];
  if (!depths.includes(depth))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: depth is ${JSON.stringify(depth)}; give one of ${depths.join(", ")}`, {
      option: "depth",
    });
  if (!Number.isFinite(noise) || noise < 0)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: noise is ${String(noise)}; give a number from 0 on`, { option: "noise" });
  const [from, to] = [weightShapes(small.graph), weightShapes(large)];
  const [fromLayers, toLayers] = [layersIn(from.keys()), layersIn(to.keys())];
  const sources = sourceLayers(fromLayers, toLayers, depth === "identity" ? "stack" : depth, technique);
  expectPlaces(from.keys(), new Set(to.keys()), technique);
  for (const [name, shape] of to) {
    const place = inLayer(name);
    checkGrowth(name, from.get(place === undefined ? name : `layers.${sources[place.layer]!}.${place.part}`), shape);
  }
  const [heads, largeHeads] = [headSizes(small.graph), headSizes(large)];
  const changed = (Object.keys(heads) as Space[]).find((space) => heads[space] !== largeHeads[space]);
  if (changed !== undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${technique}: heads have ${heads[changed]} channels in the small model and ${largeHeads[changed]} in the large; add heads instead of widening them`,
    );
  return {
    b: createBuilder(),
    small: from,
    large: to,
    heads,
    sources,
    isSilent: (layer, part) => depth === "identity" && layer >= fromLayers && endsOfLayer.test(part),
    noise,
    seed,
    operators: new Map(),
  };
}

/** B_out W B_inᵀ of a weight of the small model. */
function widen(map: GrowthMap, name: string): Value {
  const { b } = map;
  const place = inLayer(name);
  const shape = map.small.get(name)!;
  const largeName = place === undefined ? name : `layers.${map.sources.indexOf(place.layer)}.${place.part}`;
  const target = map.large.get(largeName)!;
  const spaces = spacesOf(name);
  const value = b.weight(name, shape);
  if (spaces.every((space) => space === "fixed")) return value;
  const operator = (i: number): Value => {
    const found = widthOperator(map, spaces[i]!, place?.layer, shape[i]!, target[i]!);
    return isShared(name, i, !map.large.has("head")) ? shared(map, found, spaces[i]!, shape[i]!, target[i]!) : found;
  };
  if (shape.length === 1) return b.reshape(b.matmul(operator(0), b.reshape(value, { shape: [1, shape[0]!] })), { shape: target });
  const columns = spaces[1] === "fixed" ? value : b.matmul(value, operator(1));
  return spaces[0] === "fixed" ? columns : b.matmul(operator(0), b.transpose(columns));
}

function widthOperator(map: GrowthMap, space: Space, layer: number | undefined, from: number, to: number): Value {
  const name = space === "stream" ? "growth.width.stream" : `growth.width.${layer}.${space}`;
  if (!map.operators.has(name)) {
    const shape = [to, from];
    const sources = sourceChannels(from, to, map.heads[space]);
    const values = async (): Promise<Float32Array> => {
      const numbers = normalNumbers(map.seed, name, shape, map.noise);
      sources.forEach((source, i) => (numbers[i * from + source]! += 1));
      return numbers;
    };
    map.operators.set(name, { shape, content: { values } });
  }
  return map.b.weight(name, [to, from]);
}

/** The same map for what a weight reads: what stands there several times counts as often less. */
function shared({ b, heads }: GrowthMap, operator: Value, space: Space, from: number, to: number): Value {
  const sources = sourceChannels(from, to, heads[space]);
  const copies = new Int32Array(from);
  for (const source of sources) copies[source]! += 1;
  return b.mul(
    operator,
    b.constant(
      Float32Array.from(sources, (source) => 1 / copies[source]!),
      [to, 1],
    ),
  );
}

/** [layers of the large model, numbers of the part]: each a mixture of the small model's layers. */
function mixDepth(map: GrowthMap, part: string, wide: (name: string) => Value): Value {
  const { b, sources } = map;
  const count = layersIn(map.small.keys());
  const name = `growth.depth.${part}`;
  const shape = [sources.length, count];
  const values = async (): Promise<Float32Array> => {
    const numbers = new Float32Array(size(shape));
    sources.forEach((source, layer) => (numbers[layer * count + source] = map.isSilent(layer, part) ? 0 : 1));
    return numbers;
  };
  map.operators.set(name, { shape, content: { values } });
  const rows = Array.from({ length: count }, (_, layer) => {
    const value = wide(`layers.${layer}.${part}`);
    return b.reshape(value, { shape: [1, size(value.shape as Shape)] });
  });
  return b.matmul(b.weight(name, shape), b.transpose(b.concat(rows, { axis: 0 })));
}

const given = (shape: Shape, numbers: Float32Array): Weight => ({ shape, content: { values: async () => numbers.slice() } });

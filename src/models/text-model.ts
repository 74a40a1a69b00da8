/** A decoder's specification and the places of its weights, made into a `Model`. */
import { type DecoderSpec, generateGraph, scoreGraph } from "../blocks/decoder.ts";
import type { Graph } from "../graph/value.ts";
import type { ConfigReader } from "./config-reader.ts";
import type { Checkpoint, GraphOptions, Model, PositionRule } from "./family.ts";
import { countParameters, findWeights, type Places, searchIn } from "./weights-finder.ts";

export interface TextModelParts {
  readonly family: string;
  readonly checkpoint: Checkpoint;
  readonly reader: ConfigReader;
  readonly contextLength: number;
  /** The decoder for sequences of up to so many tokens. */
  spec(contextLength: number): DecoderSpec;
  /** Whether `spec` gives something else for another length. */
  readonly dependsOnLength?: boolean;
  /** Where graphs for shorter sequences have weights of their own: such a length. */
  readonly shortContext?: number | undefined;
  /** Where files of each kind have the weights. */
  readonly huggingface: Places;
  readonly gguf?: Places;
  readonly basePrefix?: string | undefined;
  readonly ignorable?: readonly RegExp[] | undefined;
  readonly positionsOf?: PositionRule;
}

/** Positions count the tokens that the mask keeps: padding before a text does not shift it. */
export const countKept: PositionRule = (_, kept) => {
  let before = 0;
  return Int32Array.from(kept, (is) => (is ? before++ : before));
};

/** Checks that all of the configuration is understood, finds the weights, and builds the graphs when they are asked for. */
export function textModel(parts: TextModelParts): Model {
  const { family, checkpoint, reader, contextLength } = parts;
  reader.expect("attention.causal", true);
  reader.finish();
  const spec = parts.spec(contextLength);
  const generate = generateGraph(spec, contextLength);
  const others = parts.shortContext === undefined ? [] : [generateGraph(parts.spec(parts.shortContext), parts.shortContext)];
  const weights = findWeights([generate, ...others], searchIn(parts));
  return {
    family,
    parameters: countParameters(weights),
    vocabularySize: spec.vocabulary,
    contextLength,
    isBounded: spec.learnedPositions !== undefined,
    kind: "text",
    layers: spec.layers.length,
    embeddingSize: spec.embeddingWidth ?? spec.width,
    weights,
    positionsOf: parts.positionsOf,
    huggingface: { places: parts.huggingface, basePrefix: parts.basePrefix ?? "" },
    fileKind: checkpoint.kind,
    places: searchIn(parts).places,
    summary: summaryOf(spec, contextLength),
    graphs: ({ contextLength: longest = contextLength }: GraphOptions = {}) => {
      const wanted = longest === contextLength || !parts.dependsOnLength ? spec : parts.spec(longest);
      return lazily({
        generate: () => (longest === contextLength ? generate : generateGraph(wanted, longest)),
        score: () => scoreGraph(wanted),
      });
    },
  };
}

/** Graphs by name, each built when it is first read. */
function lazily(makers: Readonly<Record<string, () => Graph>>): Readonly<Record<string, Graph>> {
  const graphs = {};
  for (const [name, make] of Object.entries(makers)) {
    let made: Graph | undefined;
    Object.defineProperty(graphs, name, { enumerable: true, get: () => (made ??= make()) });
  }
  return graphs;
}

function summaryOf(spec: DecoderSpec, contextLength: number): Readonly<Record<string, string | number | boolean>> {
  const { attention, mlp } = spec.layers[0]!;
  const windows = new Set(spec.layers.map((layer) => layer.attention.window).filter((window) => window !== undefined));
  return {
    layers: spec.layers.length,
    width: spec.width,
    heads: attention.heads,
    keyValueHeads: attention.keyValueHeads,
    headSize: attention.headSize,
    hidden: mlp.hidden,
    vocabulary: spec.vocabulary,
    contextLength,
    ...(windows.size > 0 ? { window: [...windows].join(", ") } : {}),
    ...("experts" in mlp ? { experts: mlp.experts, activeExperts: mlp.active } : {}),
    tiedHead: spec.tiedHead,
  };
}

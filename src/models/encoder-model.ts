/** An encoder's specification and the places of its weights, made into a `Model`; and how its rows become one vector. */
import type { EncoderSpec } from "../blocks/encoder.ts";
import type { Graph } from "../graph/value.ts";
import type { ConfigReader } from "./config-reader.ts";
import type { Checkpoint, Model, PositionRule } from "./family.ts";
import { countParameters, findWeights, type Places, searchIn } from "./weights-finder.ts";

export interface EncoderModelParts {
  readonly family: string;
  readonly checkpoint: Checkpoint;
  readonly reader: ConfigReader;
  readonly contextLength: number;
  readonly spec: EncoderSpec;
  graph(spec: EncoderSpec): Graph;
  /** Where files of each kind have the weights. */
  readonly huggingface: Places;
  readonly gguf?: Places;
  readonly basePrefix: string;
  readonly ignorable: readonly RegExp[];
  readonly positionsOf?: PositionRule | undefined;
}

/** Checks that all of the configuration is understood, and finds the weights. */
export function encoderModel(parts: EncoderModelParts): Model {
  const { family, checkpoint, reader, contextLength, spec } = parts;
  reader.finish();
  const embed = parts.graph(spec);
  const weights = findWeights([embed], searchIn(parts));
  const { heads, headSize } = spec.layers[0]!.attention;
  return {
    family,
    parameters: countParameters(weights),
    vocabularySize: spec.vocabulary,
    contextLength,
    isBounded: true,
    kind: "encoder",
    layers: spec.layers.length,
    embeddingSize: spec.width,
    weights,
    positionsOf: parts.positionsOf,
    huggingface: { places: parts.huggingface, basePrefix: parts.basePrefix },
    fileKind: checkpoint.kind,
    places: searchIn(parts).places,
    summary: {
      layers: spec.layers.length,
      width: spec.width,
      heads,
      headSize,
      hidden: spec.layers[0]!.mlp.hidden,
      vocabulary: spec.vocabulary,
      contextLength,
      pooling: spec.pooling,
      normalize: spec.normalize,
    },
    graphs: () => ({ embed }),
  };
}

const byMode = { cls: "first", mean: "mean", last: "last" } as const;
const byNumber = ["mean", "mean", "first", "last"] as const;

/**
 * How rows become one vector. A directory says so in `modules.json`, GGUF in `pooling_type`; without a word it is the mean. Vectors are
 * divided by their length unless `modules.json` has no such step.
 */
export function readPooling(checkpoint: Checkpoint, reader: ConfigReader): Pick<EncoderSpec, "pooling" | "normalize"> {
  if (checkpoint.kind === "gguf") {
    const type = reader.size("pooling_type", 1, 0);
    const pooling = byNumber[type];
    if (pooling === undefined)
      throw reader.wrong("pooling_type", `is ${type}; mean (1), first (2) and last (3) are supported`, "FRUGAL_UNSUPPORTED");
    return { pooling, normalize: true };
  }
  const { mode, normalize } = checkpoint.pooling ?? { mode: "mean", normalize: true };
  if (mode === "max") throw reader.wrong("pooling mode", "is max; cls, mean and last are supported", "FRUGAL_UNSUPPORTED");
  return { pooling: byMode[mode], normalize };
}

/** BERT, RoBERTa and DistilBERT: the same encoder under three sets of names; pooled to embeddings as sentence-transformers or GGUF say. */
import { embedGraph, type EncoderSpec } from "../blocks/encoder.ts";
import type { LayerSpec } from "../blocks/layer.ts";
import { readActivation } from "./activation-config.ts";
import { bertPlaces, distilbertPlaces, ggufEncoderPlaces } from "./bert-places.ts";
import type { ConfigReader } from "./config-reader.ts";
import { type DecoderConfig, openConfig, readDecoderConfig, type SizeKeys, usualSizeKeys } from "./decoder-config.ts";
import { encoderModel, readPooling } from "./encoder-model.ts";
import type { Checkpoint, Model, ModelFamily } from "./family.ts";
import type { Places } from "./weights-finder.ts";

/** What differs between the three in Hugging Face checkpoints. */
interface Variant {
  readonly family: string;
  readonly sizes: SizeKeys;
  readonly hidden: string;
  readonly activation: string;
  readonly basePrefix: string;
  /** Positions count on from this id, leaving out tokens that have it; all those have its row. */
  readonly padding?: (reader: ConfigReader) => number;
  readonly places: () => Places;
  readonly ignored: readonly string[];
  readonly segments: boolean;
  /** A classifier of sequences is there where both tensors are: one of tokens lacks the second. */
  readonly classifier: { readonly weight: string; readonly needs: string; readonly over: "pooler" | "tanh" | "relu" };
}

const bertKeys = [
  "position_embedding_type",
  "classifier_dropout",
  "type_vocab_size",
  "directionality",
  "pooler_fc_size",
  "pooler_num_attention_heads",
  "pooler_num_fc_layers",
  "pooler_size_per_head",
  "pooler_type",
  "tie_word_embeddings",
];
const bertVariant: Variant = {
  family: "BERT",
  sizes: usualSizeKeys,
  hidden: "intermediate_size",
  activation: "hidden_act",
  basePrefix: "bert.",
  places: () => bertPlaces("bert.", { classifier: "classifier" }),
  classifier: { weight: "classifier.weight", needs: "pooler.dense.weight", over: "pooler" },
  ignored: bertKeys,
  segments: true,
};
const robertaVariant: Variant = {
  ...bertVariant,
  family: "RoBERTa",
  basePrefix: "roberta.",
  padding: (reader) => reader.size("pad_token_id", 1, 0),
  places: () => bertPlaces("roberta.", { classifierInner: "classifier.dense", classifier: "classifier.out_proj" }),
  classifier: { weight: "classifier.out_proj.weight", needs: "classifier.dense.weight", over: "tanh" },
};
const distilbertVariant: Variant = {
  ...bertVariant,
  family: "DistilBERT",
  sizes: { width: "dim", layers: "n_layers", heads: "n_heads", contextLength: "max_position_embeddings" },
  hidden: "hidden_dim",
  activation: "activation",
  basePrefix: "distilbert.",
  places: distilbertPlaces,
  classifier: { weight: "classifier.weight", needs: "pre_classifier.weight", over: "relu" },
  segments: false,
  ignored: ["qa_dropout", "seq_classif_dropout", "tie_weights_", "sinusoidal_pos_embds", "tie_word_embeddings"],
};

const family = (variant: Variant, modelTypes: readonly string[], ggufArchitectures: readonly string[]): ModelFamily => ({
  name: variant.family,
  modelTypes,
  ggufArchitectures,
  open: (checkpoint) => open(checkpoint, variant),
});
export const bert: ModelFamily = family(bertVariant, ["bert"], ["bert"]);
export const roberta: ModelFamily = family(robertaVariant, ["roberta", "xlm-roberta", "camembert"], []);
export const distilbert: ModelFamily = family(distilbertVariant, ["distilbert"], []);

function open(given: Checkpoint, variant: Variant): Model {
  const checkpoint = withNewNames(given);
  const reader = openConfig(checkpoint);
  const config = readDecoderConfig(checkpoint, reader, variant.sizes);
  const gguf = checkpoint.kind === "gguf";
  // In GGUF the rows before the first position are cut off.
  const padding = gguf ? undefined : variant.padding?.(reader);
  const contextLength = config.contextLength - (padding === undefined ? 0 : padding + 1);
  if (contextLength < 1)
    throw reader.wrong(variant.sizes.contextLength, `is ${config.contextLength}, but positions begin at ${padding! + 1}; it must be more`);
  const has = (name: string): boolean => [name, variant.basePrefix + name].some((full) => checkpoint.tensors.has(full));
  const labels = checkpoint.tensors.get(variant.classifier.weight)?.shape[0];
  const spec: EncoderSpec = {
    vocabulary: config.vocabulary,
    width: config.width,
    layers: Array.from({ length: config.layers }, () => layerOf(config, variant)),
    norm: { kind: "layer", epsilon: reader.positive(gguf ? "attention.layer_norm_epsilon" : "layer_norm_eps", gguf ? undefined : 1e-12) },
    positions: config.contextLength,
    segments: segmentRows(checkpoint, reader, variant),
    pooler: has("pooler.dense.weight"),
    classifier: labels === undefined || !has(variant.classifier.needs) ? undefined : { labels, over: variant.classifier.over },
    ...readPooling(checkpoint, reader),
  };
  reader.expect("is_decoder", false);
  reader.expect("attention.causal", false);
  reader.expect("position_embedding_type", "absolute");
  reader.ignore(...variant.ignored);
  return encoderModel({
    family: variant.family,
    checkpoint,
    reader,
    contextLength,
    spec,
    graph: embedGraph,
    huggingface: variant.places(),
    gguf: ggufEncoderPlaces(config),
    basePrefix: variant.basePrefix,
    ignorable: heads,
    positionsOf: padding === undefined ? undefined : (ids) => countFrom(ids, padding),
  });
}

function countFrom(ids: Int32Array, padding: number): Int32Array {
  let last = padding;
  return ids.map((id) => (id === padding ? padding : ++last));
}

/** Rows of the table of segments, if there is one. */
function segmentRows({ kind, tensors }: Checkpoint, reader: ConfigReader, variant: Variant): number | undefined {
  const rows = kind === "gguf" ? tensors.get("token_types.weight")?.shape[0] : variant.segments ? reader.size("type_vocab_size", 2, 0) : 0;
  return rows === 0 ? undefined : rows;
}

function layerOf(config: DecoderConfig, variant: Variant): LayerSpec {
  const { reader, gguf, heads: count, keyValueHeads, headSize } = config;
  return {
    placement: "post",
    attention: { heads: count, keyValueHeads, headSize, scale: headSize ** -0.5, inputBias: true, outputBias: true, causal: false },
    mlp: {
      hidden: reader.size(gguf ? "feed_forward_length" : variant.hidden),
      activation: gguf ? "gelu" : readActivation(reader, variant.activation, "gelu"),
      gated: false,
      bias: true,
    },
  };
}

/** Heads for other tasks than embeddings, and a buffer. */
const heads = [
  /position_ids$/,
  /^cls\.(predictions|seq_relationship|weight|bias|output)/,
  /^lm_head\./,
  /^classifier\./,
  /^pre_classifier\./,
  /^qa_outputs\./,
  /^vocab_(transform|layer_norm|projector)\./,
];

/** The first BERT files call the weight of a norm gamma and its bias beta. */
function withNewNames(checkpoint: Checkpoint): Checkpoint {
  if (checkpoint.kind === "gguf") return checkpoint;
  const tensors = new Map(
    [...checkpoint.tensors].map(([name, tensor]) => [name.replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias"), tensor]),
  );
  return { ...checkpoint, tensors };
}

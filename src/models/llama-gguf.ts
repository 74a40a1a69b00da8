/** Writes a Llama from a Hugging Face directory as one GGUF file, its matrices in a format of choice: what llama.cpp and Frugal load. */
import { decodeWeights } from "../backends/weights.ts";
import { ropeFrequencies, type RopeScaling } from "../blocks/rope-frequencies.ts";
import { type ModelDirectory, openDirectory } from "../formats/directory.ts";
import type { NamedTensor } from "../formats/gguf/tensor-formats.ts";
import { writeGguf } from "../formats/gguf/write.ts";
import type { ByteSink, TensorToWrite, WriteOptions } from "../formats/sink.ts";
import { inOrder, sourceName, type Value } from "../graph/value.ts";
import { FrugalError } from "../tensor/error.ts";
import { storedBytes, type StorageFormat } from "../tensor/format.ts";
import { F32 } from "../tensor/formats/floats.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { checkOptions } from "../tensor/options.ts";
import { type Shape, size } from "../tensor/shape.ts";
import type { Metadata, MetadataValue } from "../tensor/strings.ts";
import { tokenizerMetadata } from "../text/to-gguf.ts";
import { type DecoderConfig, openConfig, readDecoderConfig } from "./decoder-config.ts";
import type { Model } from "./family.ts";
import { llama } from "./llama.ts";
import { huggingfaceRope, type RopeSettings } from "./rope-config.ts";

export interface ExportOptions {
  /** Of the matrices: "F16", "Q8_0", "Q4_0", ... Default "Q8_0". Vectors are written in F32. */
  readonly format?: string;
  /** Keys beside those of the model and its tokenizer: "general.name", "general.license", ... */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/**
 * Writes a Llama's directory in Hugging Face layout, with its tokenizer, as one GGUF file. The file is whole or not there. Rejects as
 * `openDirectory` does, with FRUGAL_UNSUPPORTED for an unknown format and for what a GGUF file cannot say: other families, tokenizers that are
 * no byte-level merges, some rotary scalings.
 */
export async function exportGguf(directory: string, file: string, options: ExportOptions = {}): Promise<void> {
  checkOptions("exportGguf", options, ["format", "metadata", "signal"]);
  const { format = "Q8_0", metadata = {}, signal } = options;
  const known = formatByName(format);
  const opened = await openDirectory(directory, signal === undefined ? {} : { signal });
  try {
    await writeLlamaGguf(opened, file, { format: known, metadata: new Map(Object.entries(metadata)), signal });
  } finally {
    await opened.close();
  }
}

export interface GgufExport {
  /** Of the matrices, while vectors are written in F32; or what says it for each tensor. */
  readonly format: StorageFormat | FormatChooser;
  /** Keys beside those of the model and its tokenizer: general.name, general.license, ... They count where both have one. */
  readonly metadata?: Metadata;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: WriteOptions["onProgress"] | undefined;
}

/** The format of each tensor by its name; they are in F32 before. */
export type FormatChooser = (tensors: readonly NamedTensor[], metadata: Metadata) => ReadonlyMap<string, StorageFormat>;

/**
 * Rejects with FRUGAL_UNSUPPORTED for another family, for a tokenizer or a rotary scaling that the file cannot say, or for a format
 * that is only read, and as `writeGguf` and `openModel` do. The file is whole or not there.
 */
export async function writeLlamaGguf(directory: ModelDirectory, target: string | ByteSink, options: GgufExport): Promise<void> {
  const { path, config, tensors, tokenizer, tokenizerConfig, chatTemplate } = directory;
  const checkpoint = { kind: "huggingface", name: path, config, tensors } as const;
  if (!llama.modelTypes.includes(String(config["model_type"])))
    throw unsupported(path, `model_type ${JSON.stringify(config["model_type"])}`, `only ${llama.modelTypes.join(", ")} is written`);
  if (tokenizer === undefined)
    throw new FrugalError("FRUGAL_NOT_FOUND", `${path}: has no tokenizer.json; a GGUF file needs it, put it beside config.json`, { path });
  const model = llama.open(checkpoint);
  const reader = openConfig(checkpoint);
  const sizes = readDecoderConfig(checkpoint, reader);
  const rope = huggingfaceRope(reader, sizes);
  const metadata = new Map<string, MetadataValue>([
    ["general.architecture", "llama"],
    ["general.type", "model"],
    ["general.quantization_version", 2],
    ...sizesOf(sizes, reader.size("intermediate_size"), reader.positive("rms_norm_eps", 1e-6)),
    ...ropeOf(path, rope),
    ...tokenizerMetadata(tokenizer, tokenizerConfig, sizes.vocabulary),
    ...(chatTemplate === undefined ? [] : [["tokenizer.chat_template", chatTemplate] as const]),
    ...(options.metadata ?? []),
  ]);
  const { signal, onProgress } = options;
  const written = { metadata, tensors: [...divisorsOf(rope), ...tensorsOf(model, sizes, metadata, options)] };
  await writeGguf(target, written, { ...(signal === undefined ? {} : { signal }), ...(onProgress === undefined ? {} : { onProgress }) });
}

const unsupported = (path: string, what: string, why: string): FrugalError =>
  new FrugalError("FRUGAL_UNSUPPORTED", `${path}: ${what} cannot be written as a GGUF file: ${why}; keep the directory`, { path });

const sizesOf = (sizes: DecoderConfig, hidden: number, epsilon: number): [string, number][] => [
  ["llama.block_count", sizes.layers],
  ["llama.context_length", sizes.contextLength],
  ["llama.embedding_length", sizes.width],
  ["llama.feed_forward_length", hidden],
  ["llama.attention.head_count", sizes.heads],
  ["llama.attention.head_count_kv", sizes.keyValueHeads],
  ["llama.attention.key_length", sizes.headSize],
  ["llama.attention.value_length", sizes.headSize],
  ["llama.attention.layer_norm_rms_epsilon", epsilon],
  ["llama.vocab_size", sizes.vocabulary],
];

/** Scalings that are keys; Llama 3's is a tensor of divisors. */
const scalings: Partial<Record<RopeScaling["kind"], (scaling: never) => [string, MetadataValue][]>> = {
  none: () => [],
  llama3: () => [],
  linear: ({ factor }: { factor: number }) => [
    ["llama.rope.scaling.type", "linear"],
    ["llama.rope.scaling.factor", factor],
  ],
};

function ropeOf(path: string, { base, rotaryDim, scaling }: RopeSettings): [string, MetadataValue][] {
  const keys = scalings[scaling.kind];
  if (keys === undefined) throw unsupported(path, `the rotary scaling "${scaling.kind}"`, `known are ${Object.keys(scalings).join(", ")}`);
  return [["llama.rope.freq_base", base], ["llama.rope.dimension_count", rotaryDim], ...keys(scaling as never)];
}

function divisorsOf({ base, rotaryDim, scaling }: RopeSettings): TensorToWrite[] {
  if (scaling.kind !== "llama3") return [];
  const [plain, scaled] = [ropeFrequencies(rotaryDim, base, { kind: "none" }, 1), ropeFrequencies(rotaryDim, base, scaling, 1)];
  const divisors = plain.frequencies.map((frequency, i) => frequency / scaled.frequencies[i]!);
  return [{ name: "rope_freqs.weight", shape: [divisors.length], format: F32, bytes: new Uint8Array(divisors.buffer) }];
}

/** By the weight's name in the graph, without layer and kind. */
const names: Readonly<Record<string, string>> = {
  embedding: "token_embd",
  norm: "output_norm",
  head: "output",
  attentionNorm: "attn_norm",
  mlpNorm: "ffn_norm",
  "attention.query": "attn_q",
  "attention.key": "attn_k",
  "attention.value": "attn_v",
  "attention.output": "attn_output",
  "mlp.gate": "ffn_gate",
  "mlp.up": "ffn_up",
  "mlp.down": "ffn_down",
};

function tensorsOf(model: Model, sizes: DecoderConfig, metadata: Metadata, { format, signal }: GgufExport): TensorToWrite[] {
  const weights = inOrder(model.graphs()["score"]!.outputs.values()).filter(({ op }) => op === "weight");
  const tensors = weights.map((value) => {
    const [, layer, rest = "", bias] = /^(?:layers\.(\d+)\.)?(.*?)(\.bias)?$/.exec(sourceName(value))!;
    const kind = bias === undefined ? "weight" : "bias";
    const name = `${layer === undefined ? "" : `blk.${layer}.`}${names[rest]!}.${kind}`;
    return { name, shape: value.shape as Shape, format: F32, value, heads: turnedHeads(rest, sizes) };
  });
  const chosen = typeof format === "function" ? format(tensors, metadata) : undefined;
  return tensors.map(({ name, shape, value, heads }): TensorToWrite => {
    const own = chosen === undefined ? (shape.length === 1 ? F32 : (format as StorageFormat)) : chosen.get(name)!;
    return { name, shape, format: own, bytes: encoded(value, model, heads, own, signal) };
  });
}

const turnedHeads = (name: string, { heads, keyValueHeads }: DecoderConfig): number | undefined =>
  name === "attention.query" ? heads : name === "attention.key" ? keyValueHeads : undefined;

/** Decoded, with the rows of turned heads in GGUF's order, and encoded again. Read when its turn to be written comes. */
async function* encoded(
  value: Value,
  { weights }: Model,
  heads: number | undefined,
  format: StorageFormat,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const shape = value.shape as Shape;
  if (format.encode === undefined)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `weight "${sourceName(value)}": ${format.name} is a format that is only read; take another`,
      {
        format: format.name,
      },
    );
  const decoded = (await decodeWeights([value], weights, { signal })).get(sourceName(value))!;
  const numbers = heads === undefined ? decoded : paired(decoded, heads, shape);
  const bytes = new Uint8Array(storedBytes(format, size(shape)));
  format.encode(numbers, bytes);
  yield bytes;
}

/** Channels i and i + half of a head turn together: Hugging Face keeps the halves apart, GGUF's Llama puts the two side by side. */
function paired(numbers: Float32Array, heads: number, shape: Shape): Float32Array {
  const headSize = shape[0]! / heads;
  const row = size(shape.slice(1));
  const result = new Float32Array(numbers.length);
  for (let to = 0; to < shape[0]!; to++) {
    const within = to % headSize;
    const from = to - within + (within % 2) * (headSize / 2) + Math.floor(within / 2);
    result.set(numbers.subarray(from * row, (from + 1) * row), to * row);
  }
  return result;
}

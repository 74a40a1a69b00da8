/**
 * Reader of llama2.c checkpoints (its first version: seven integers, then float32 weights) and their tokenizers.
 * Source: https://github.com/karpathy/llama2.c, run.c. What comes out looks like a Hugging Face Llama: configuration keys,
 * tensor names, and query and key rows in the order of the rotate-half rope.
 */
import { FrugalError } from "../tensor/error.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { size } from "../tensor/shape.ts";
import type { ByteSource } from "../tensor/source.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import type { Metadata } from "../tensor/strings.ts";
import { directoryOf, exists, joinPath, openFile, readWhole } from "./files.ts";
import type { JsonObject } from "./json.ts";
import { readLlama2cTokenizer } from "./llama2c-tokenizer.ts";
import { unpairedRows } from "./llama2c-rope.ts";

export interface Llama2cModel {
  /** In the terms of a Hugging Face Llama `config.json`. */
  readonly config: JsonObject;
  /** The tokenizer as GGUF's `tokenizer.ggml.*` keys; absent where no tokenizer file was given or found. */
  readonly metadata?: Metadata;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  close(): Promise<void>;
}

export interface Llama2cOptions {
  /** Path of the tokenizer; without it `tok<vocabulary>.bin` or `tokenizer.bin` beside the checkpoint is used where there is one. */
  readonly tokenizer?: string;
}

interface Header {
  readonly dim: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly vocabulary: number;
  readonly tied: boolean;
  readonly context: number;
}

const HEADER_BYTES = 28;
const TOKENIZER_LIMIT = 64 << 20;
/** The magic number of later versions of the format. */
const LATER_MAGIC = 0x616b3432;

/** Opens a checkpoint with its tokenizer. Rejects with FRUGAL_BAD_FILE where the size is not what the header says, FRUGAL_UNSUPPORTED for later versions. */
export async function openLlama2c(path: string, options: Llama2cOptions = {}): Promise<Llama2cModel> {
  const source = await openFile(path);
  try {
    const model = await readLlama2c(source);
    const vocabulary = model.config["vocab_size"] as number;
    const tokenizer = options.tokenizer ?? (await tokenizerBeside(path, vocabulary));
    if (tokenizer === undefined) return model;
    return { ...model, metadata: readLlama2cTokenizer(tokenizer, await readWhole(tokenizer, TOKENIZER_LIMIT), vocabulary) };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function tokenizerBeside(path: string, vocabulary: number): Promise<string | undefined> {
  for (const name of [`tok${vocabulary}.bin`, "tokenizer.bin"]) {
    const candidate = joinPath(directoryOf(path), name);
    if (await exists(candidate)) return candidate;
  }
  return undefined;
}

/** Reads a checkpoint's header; the tensors stay in the source. */
export async function readLlama2c(source: ByteSource): Promise<Llama2cModel> {
  if (source.byteLength < HEADER_BYTES) throw bad(source, `has ${source.byteLength} bytes, fewer than a header's ${HEADER_BYTES}`);
  const bytes = await source.read(0, HEADER_BYTES);
  const header = toHeader(source, new DataView(bytes.buffer, bytes.byteOffset));
  return { config: toConfig(header), tensors: toTensors(source, header), close: () => source.close() };
}

const bad = (source: ByteSource, wrong: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_FILE", `${source.name}: ${wrong}; it is not a llama2.c checkpoint or is truncated, fetch it again`, {});

function toHeader(source: ByteSource, view: DataView): Header {
  if (view.getUint32(0, true) === LATER_MAGIC)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${source.name}: is version ${view.getInt32(4, true)} of the llama2.c format, only version 0 is read; export it with --version 0`,
      {},
    );
  const [dim, hidden, layers, heads, keyValueHeads, signedVocabulary, context] = Array.from({ length: 7 }, (_, i) =>
    view.getInt32(4 * i, true),
  ) as [number, number, number, number, number, number, number];
  const header = { dim, hidden, layers, heads, keyValueHeads, vocabulary: Math.abs(signedVocabulary), tied: signedVocabulary > 0, context };
  const positive = [dim, hidden, layers, heads, keyValueHeads, header.vocabulary, context].every((n) => n > 0 && n < 1 << 24);
  if (!positive || layers > 1000 || dim % heads !== 0 || (dim / heads) % 2 !== 0 || heads % keyValueHeads !== 0)
    throw bad(
      source,
      `has an impossible header (dim ${dim}, hidden ${hidden}, layers ${layers}, heads ${heads}, kv_heads ${keyValueHeads}, vocab ${signedVocabulary}, seq ${context})`,
    );
  return header;
}

const toConfig = (header: Header): JsonObject => ({
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: header.dim,
  intermediate_size: header.hidden,
  num_hidden_layers: header.layers,
  num_attention_heads: header.heads,
  num_key_value_heads: header.keyValueHeads,
  head_dim: header.dim / header.heads,
  vocab_size: header.vocabulary,
  max_position_embeddings: header.context,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: header.tied,
  bos_token_id: 1,
  // Texts were trained one after the other, each begun by BOS: it ends one as well as EOS does.
  eos_token_id: [2, 1],
});

/** Blocks of the file in its order: the name in each layer, the shape of one layer's part, and heads whose rope pairs are to be parted. */
function layout(header: Header): readonly { name: string; shape: readonly number[]; layers: number; heads?: number }[] {
  const { dim, hidden, layers, heads, keyValueHeads, vocabulary } = header;
  const keyValue = (dim / heads) * keyValueHeads;
  const layer = (name: string, ...shape: number[]): { name: string; shape: number[]; layers: number } => ({
    name: `model.layers.#.${name}.weight`,
    shape,
    layers,
  });
  return [
    { name: "model.embed_tokens.weight", shape: [vocabulary, dim], layers: 1 },
    layer("input_layernorm", dim),
    { ...layer("self_attn.q_proj", dim, dim), heads },
    { ...layer("self_attn.k_proj", keyValue, dim), heads: keyValueHeads },
    layer("self_attn.v_proj", keyValue, dim),
    layer("self_attn.o_proj", dim, dim),
    layer("post_attention_layernorm", dim),
    layer("mlp.gate_proj", hidden, dim),
    layer("mlp.down_proj", dim, hidden),
    layer("mlp.up_proj", hidden, dim),
    { name: "model.norm.weight", shape: [dim], layers: 1 },
  ];
}

function toTensors(source: ByteSource, header: Header): ReadonlyMap<string, StoredTensor> {
  const { dim, heads, vocabulary, context, tied } = header;
  const format = formatByName("F32");
  const tensors = new Map<string, StoredTensor>();
  let offset = HEADER_BYTES;
  const add = (name: string, shape: readonly number[], parted?: number): void => {
    const byteLength = size(shape) * format.blockBytes;
    const tensor: StoredTensor = { name, shape, format, source, offset, byteLength };
    tensors.set(name, parted === undefined ? tensor : unpairedRows(tensor, parted));
    offset += byteLength;
  };
  for (const { name, shape, layers, heads: parted } of layout(header))
    for (let i = 0; i < layers; i++) add(name.replace("#", String(i)), shape, parted);
  // Tables of cosines and sines that nobody reads any more.
  offset += context * (dim / heads) * format.blockBytes;
  if (!tied) add("lm_head.weight", [vocabulary, dim]);
  if (offset !== source.byteLength) throw bad(source, `has ${source.byteLength} bytes where its header asks for ${offset}`);
  return tensors;
}

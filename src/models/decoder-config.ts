/** The sizes that nearly all decoders have, read from config.json or from GGUF metadata. */
import { FrugalError } from "../tensor/error.ts";
import { configReader, metadataReader, type ConfigReader } from "./config-reader.ts";
import type { Checkpoint } from "./family.ts";
import { settleCommonKeys } from "./huggingface-keys.ts";

export interface DecoderConfig {
  readonly reader: ConfigReader;
  readonly gguf: boolean;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly vocabulary: number;
  readonly contextLength: number;
}

/** More than any model has; a larger number is a broken or hostile file, and tables of that size are not made. */
const mostLayers = 4096;
const largestHead = 65536;

/** The names of the sizes, where a family has its own in config.json. */
export interface SizeKeys {
  readonly width: string;
  readonly layers: string;
  readonly heads: string;
  readonly contextLength: string;
}
export const usualSizeKeys: SizeKeys = {
  width: "hidden_size",
  layers: "num_hidden_layers",
  heads: "num_attention_heads",
  contextLength: "max_position_embeddings",
};

/** Sizes where config.json does not say; what is missing here too is an error, or for heads the usual. */
export interface SizeDefaults {
  readonly heads?: number;
  readonly keyValueHeads?: number;
  readonly headSize?: number;
  readonly vocabulary?: number;
  readonly contextLength?: number;
}

/** The reader of a checkpoint's configuration, with the keys that every family ignores marked. */
export function openConfig(checkpoint: Checkpoint): ConfigReader {
  if (checkpoint.kind === "gguf") {
    const reader = metadataReader(
      `metadata of ${checkpoint.name}`,
      checkpoint.metadata,
      String(checkpoint.metadata.get("general.architecture")),
    );
    // A file made for embeddings says how it pools; its logits are the same.
    reader.ignore("tensor_data_layout", "pooling_type");
    return reader;
  }
  const reader = configReader(`config.json of ${checkpoint.name}`, checkpoint.config);
  settleCommonKeys(reader);
  return reader;
}

/** Reads the sizes. Throws FRUGAL_BAD_CONFIG where they don't fit each other or the file. */
export function readDecoderConfig(
  checkpoint: Checkpoint,
  reader: ConfigReader,
  keys: SizeKeys = usualSizeKeys,
  defaults: SizeDefaults = {},
): DecoderConfig {
  const gguf = checkpoint.kind === "gguf";
  const name = gguf
    ? {
        width: "embedding_length",
        layers: "block_count",
        heads: "attention.head_count",
        contextLength: "context_length",
        keyValueHeads: "attention.head_count_kv",
        headSize: "attention.key_length",
      }
    : { ...keys, keyValueHeads: "num_key_value_heads", headSize: "head_dim" };
  for (const key of [name.heads, name.keyValueHeads]) expectOneSize(reader, key);
  const width = reader.size(name.width);
  const layers = reader.size(name.layers);
  const usual = gguf ? {} : defaults;
  const heads = reader.size(name.heads, usual.heads);
  const keyValueHeads = reader.size(name.keyValueHeads, usual.keyValueHeads ?? heads);
  const makesTensors = checkpoint.kind === "huggingface" && checkpoint.make !== undefined;
  if (layers > Math.min(makesTensors ? Infinity : checkpoint.tensors.size, mostLayers))
    throw reader.wrong(
      name.layers,
      `is ${layers}, but the file has ${checkpoint.tensors.size} tensors, and more than ${mostLayers} layers are not read`,
    );
  if (heads > largestHead || heads % keyValueHeads !== 0)
    throw reader.wrong(name.heads, `is ${heads}, which ${keyValueHeads} heads of keys and values do not divide`);
  if (usual.headSize === undefined && !reader.has(name.headSize) && width % heads !== 0)
    throw reader.wrong(name.width, `is ${width}, which ${heads} heads do not divide`);
  const headSize = reader.size(name.headSize, usual.headSize ?? width / heads);
  if (headSize > largestHead) throw reader.wrong(name.headSize, `is ${headSize}; more than ${largestHead} channels a head are not read`);
  if (gguf) reader.expect("attention.value_length", headSize);
  return {
    reader,
    gguf,
    width,
    layers,
    heads,
    keyValueHeads,
    headSize,
    vocabulary: checkpoint.kind === "gguf" ? embeddingRows(checkpoint, reader) : reader.size("vocab_size", usual.vocabulary),
    contextLength: reader.size(name.contextLength, usual.contextLength),
  };
}

/** GGUF may hold a size for each layer; families whose layers differ in these are not among ours. */
function expectOneSize(reader: ConfigReader, key: string): void {
  if (reader.isList(key))
    throw reader.wrong(key, "is a list, one for each layer, which Frugal cannot do for this family", "FRUGAL_UNSUPPORTED");
}

/** GGUF says the size of the vocabulary by its embedding table, and may repeat it. */
function embeddingRows({ name, tensors }: Checkpoint, reader: ConfigReader): number {
  const rows = tensors.get("token_embd.weight")?.shape[0];
  if (rows !== undefined && rows > 0) {
    const said = reader.size("vocab_size", rows);
    if (said === rows) return rows;
    throw reader.wrong("vocab_size", `is ${said}, but token_embd.weight has ${rows} rows; metadata and weights do not belong together`);
  }
  throw new FrugalError("FRUGAL_NOT_FOUND", `${name}: has no tensor "token_embd.weight"; the file is incomplete, fetch it again`, {
    file: name,
    tensor: "token_embd.weight",
  });
}

/** Whether the head is the embedding's table: GGUF then stores no head; config.json says so, but a stored head counts for more. */
export function readTied(checkpoint: Checkpoint, reader: ConfigReader, head: string, usual: boolean): boolean {
  if (checkpoint.kind === "gguf") return !checkpoint.tensors.has("output.weight");
  return reader.flag("tie_word_embeddings", usual) && !checkpoint.tensors.has(head);
}

/** From a name that a person gives to weights, tokenizer and template, whatever the file format. */
import { openDirectory, readTemplates, TOKENIZER_LIMIT } from "../formats/directory.ts";
import { exists, joinPath, kindOf, openFile } from "../formats/files.ts";
import { folderOf, isFiles, type ModelFiles, readJsonIn } from "../formats/folder.ts";
import { openParts } from "../formats/gguf/split.ts";
import type { PullOptions } from "../formats/hub.ts";
import { openLlama2c } from "../formats/llama2c.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import type { ByteSource } from "../tensor/source.ts";
import type { Metadata } from "../tensor/strings.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { embeddedNames, embeddedPath } from "./embedded/names.ts";
import type { Checkpoint } from "./family.ts";

export interface OpenedCheckpoint {
  /** The last part of the path, for people. */
  readonly name: string;
  readonly path: string;
  readonly checkpoint: Checkpoint;
  /** Builds the tokenizer, once; rejects with FRUGAL_NOT_FOUND where the checkpoint has none. */
  tokenizer(): Promise<Tokenizer>;
  readonly hasTokenizer: boolean;
  /** Ids that end a text by the model's configuration; the tokenizer knows further ones. */
  readonly endIds: readonly number[];
  readonly chatTemplate: string | undefined;
  close(): Promise<void>;
}

export interface OpenProgress {
  readonly stage: "download" | "weights";
  readonly done: number;
  readonly total: number;
}

/** How models are downloaded. */
export type HubSettings = Pick<PullOptions, "cacheDirectory" | "endpoint" | "token" | "revision">;

export interface OpenOptions {
  readonly hub?: HubSettings | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: OpenProgress) => void) | undefined;
}

/**
 * Opens an embedded model by its name, `hf:owner/name[:file]` (downloading what is not there yet), a `.gguf` file, a llama2.c `.bin` file, or a
 * directory in Hugging Face layout, or one with a `model.gguf` in place of `config.json`. Where there is no file system, the files themselves:
 * a `.gguf` file (of a split one, all parts), or those of such a directory. They are closed with what was opened, and where that fails.
 */
export async function openCheckpoint(source: string | ModelFiles, options: OpenOptions = {}): Promise<OpenedCheckpoint> {
  options.signal?.throwIfAborted();
  if (isFiles(source)) return openFiles(source, options);
  if (typeof source !== "string" || source === "") throw new FrugalError("FRUGAL_BAD_ARGUMENT", `load: no model is named; name ${kinds}`);
  const path = source.startsWith("hf:") ? await download(source, options) : (embeddedPath(source) ?? source);
  const kind = await kindOf(path);
  if (kind === "directory") {
    const lone = joinPath(path, "model.gguf");
    // What tuning a GGUF file leaves in its folder.
    if (!(await exists(joinPath(path, "config.json"))) && (await exists(lone))) return openGgufCheckpoint(lone, openFile, options);
    return openHuggingface(path, options);
  }
  if (kind === "missing") throw missing(source, path);
  if (path.endsWith(".gguf")) return openGgufCheckpoint(path, openFile, options);
  if (path.endsWith(".bin")) return openLlama2cCheckpoint(path);
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${source}: is not a kind of file that holds a model; name a .gguf file, a llama2.c .bin file, or a directory with config.json`,
    { path: source },
  );
}

async function openFiles(given: ModelFiles, options: OpenOptions): Promise<OpenedCheckpoint> {
  const closeAll = async (): Promise<void> => void (await Promise.all([...given.files.values()].map((source) => source.close())));
  try {
    const opened = given.files.has("config.json") ? await openHuggingface(given, options) : await openGgufFiles(given, options);
    return {
      ...opened,
      async close() {
        await opened.close();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function openGgufFiles(given: ModelFiles, options: OpenOptions): Promise<OpenedCheckpoint> {
  const names = [...given.files.keys()].filter((name) => name.endsWith(".gguf")).toSorted();
  const first = names[0];
  if (first === undefined)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${given.name}: ${given.files.size} files, of which none is a .gguf file or config.json; give a .gguf file, or config.json, *.safetensors and tokenizer.json`,
      { name: given.name },
    );
  const folder = folderOf(given);
  // Sources may have other names than their keys, URLs for instance; parts are found by the keys.
  const used = new Set<string>();
  const open: OpenSource = async (name) => {
    const source = await folder.open(name);
    used.add(name);
    return { ...source, name };
  };
  const opened = await openGgufCheckpoint(first, open, options);
  const other = names.find((name) => !used.has(name));
  if (other === undefined) return { ...opened, name: given.name, path: given.name };
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${given.name}: ${other} is no part of ${first}; give the files of one model`, {
    file: other,
  });
}

const kinds = `a .gguf file, a model's directory, hf:owner/name[:file], or an embedded model: ${embeddedNames.join(", ")}`;

function missing(source: string, path: string): FrugalError {
  const near = nearest(source, embeddedNames);
  const what =
    path !== source
      ? `the embedded model is not there, ${path} is missing; install the package again`
      : `there is no such file or directory; ${near === undefined ? `name ${kinds}` : `did you mean the embedded model "${near}"?`}`;
  return new FrugalError("FRUGAL_NOT_FOUND", `${source}: ${what}`, { path });
}

const baseName = (path: string): string =>
  path
    .split(/[/\\]/)
    .filter((part) => part !== "")
    .at(-1) ?? path;

async function download(source: string, { hub = {}, signal, onProgress }: OpenOptions): Promise<string> {
  const { pull } = await import("../formats/hub.ts");
  const pulled = await pull(source, {
    ...hub,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress: ({ received, total }) => onProgress({ stage: "download", done: received, total }) }),
  });
  return pulled.path;
}

const signalOf = ({ signal }: OpenOptions): { signal?: AbortSignal } => (signal === undefined ? {} : { signal });

/** Each way of making a tokenizer is loaded only where it is needed: they are a good part of the time to start. */
const fromMetadata = async (metadata: Metadata): Promise<Tokenizer> =>
  (await import("../text/from-gguf.ts")).tokenizerFromMetadata(metadata);

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

type OpenSource = (name: string) => Promise<ByteSource>;

async function openGgufCheckpoint(path: string, open: OpenSource, options: OpenOptions): Promise<OpenedCheckpoint> {
  const file = await openParts(await open(path), open, signalOf(options));
  const name = baseName(path);
  const template = file.metadata.get("tokenizer.chat_template");
  const hasTokenizer = file.metadata.has("tokenizer.ggml.model");
  return {
    name,
    path,
    checkpoint: { kind: "gguf", name: path, metadata: file.metadata, types: file.types, tensors: file.tensors },
    tokenizer: once(async () => (hasTokenizer ? fromMetadata(file.metadata) : noTokenizer(path, "the key tokenizer.ggml.model"))),
    hasTokenizer,
    endIds: [],
    chatTemplate: typeof template === "string" ? template : undefined,
    close: () => file.close(),
  };
}

async function openLlama2cCheckpoint(path: string): Promise<OpenedCheckpoint> {
  const { config, metadata, tensors, close } = await openLlama2c(path);
  return {
    name: baseName(path),
    path,
    checkpoint: { kind: "huggingface", name: path, config, tensors },
    tokenizer: once(async () => (metadata === undefined ? noTokenizer(path, "tokenizer.bin beside it") : fromMetadata(metadata))),
    hasTokenizer: metadata !== undefined,
    endIds: idsOf(config["eos_token_id"]),
    chatTemplate: undefined,
    close,
  };
}

async function openHuggingface(source: string | ModelFiles, options: OpenOptions): Promise<OpenedCheckpoint> {
  const directory = await openDirectory(source, signalOf(options));
  const { path, config, tensors, tokenizer, tokenizerConfig, generationConfig, pooling } = directory;
  return {
    name: baseName(path),
    path,
    checkpoint: { kind: "huggingface", name: path, config, tensors, ...(pooling === undefined ? {} : { pooling: { ...pooling } }) },
    tokenizer: once(async () => {
      if (tokenizer === undefined) return noTokenizer(path, "tokenizer.json");
      const { tokenizerFromJson } = await import("../text/from-json.ts");
      return tokenizerFromJson(tokenizer, tokenizerConfig);
    }),
    hasTokenizer: tokenizer !== undefined,
    endIds: [...idsOf(config["eos_token_id"]), ...idsOf(generationConfig?.["eos_token_id"])],
    chatTemplate: directory.chatTemplate,
    close: () => directory.close(),
  };
}

/** The tokenizer and the template of a directory that need not hold a model. Rejects with FRUGAL_NOT_FOUND where there is no tokenizer.json. */
export async function openTokenizer(path: string): Promise<Pick<OpenedCheckpoint, "tokenizer" | "chatTemplate">> {
  const folder = folderOf(path);
  const tokenizer = await readJsonIn(folder, "tokenizer.json", TOKENIZER_LIMIT);
  if (tokenizer === undefined) return noTokenizer(path, "tokenizer.json");
  const config = await readJsonIn(folder, "tokenizer_config.json");
  const { chatTemplate } = await readTemplates(folder, config);
  return {
    tokenizer: once(async () => (await import("../text/from-json.ts")).tokenizerFromJson(tokenizer, config)),
    chatTemplate,
  };
}

const idsOf = (value: unknown): number[] => (Array.isArray(value) ? value : [value]).filter((id): id is number => Number.isInteger(id));

function noTokenizer(path: string, missing: string): never {
  throw new FrugalError("FRUGAL_NOT_FOUND", `${path}: has no tokenizer, ${missing} is missing; give token ids in place of text`, { path });
}

/** Directories in Hugging Face layout: configuration, tokenizer files and weights as one record. Nothing is interpreted here but names. */
import { FrugalError } from "../tensor/error.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { exists, joinPath, kindOf, listDirectory, readWhole } from "./files.ts";
import { isJsonObject, type JsonObject, parseJsonObject } from "./json.ts";
import { type Pooling, readPooling } from "./pooling.ts";
import { openSafetensorsDirectory } from "./shards.ts";

export interface ModelDirectory {
  readonly path: string;
  /** `config.json` */
  readonly config: JsonObject;
  /** `generation_config.json` */
  readonly generationConfig?: JsonObject;
  /** `tokenizer.json` */
  readonly tokenizer?: JsonObject;
  /** `tokenizer_config.json` */
  readonly tokenizerConfig?: JsonObject;
  /** `special_tokens_map.json` */
  readonly specialTokens?: JsonObject;
  /** The default template: of `chat_template.jinja`, `chat_template.json` or `tokenizer_config.json`, in this order. */
  readonly chatTemplate?: string;
  /** Further templates by name: "tool_use", "rag". */
  readonly chatTemplates: ReadonlyMap<string, string>;
  /** What sentence-transformers does with the last hidden states; absent for other models. */
  readonly pooling?: Pooling;
  /** Under the names of the file. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  close(): Promise<void>;
}

const MEBIBYTE = 1 << 20;
const CONFIG_LIMIT = 16 * MEBIBYTE;
/** Gemma's is 33 MB. */
export const TOKENIZER_LIMIT: number = 512 * MEBIBYTE;

/**
 * Opens a directory with `config.json` and safetensors. Rejects with FRUGAL_NOT_FOUND (config or weights missing),
 * FRUGAL_BAD_FILE (naming line and column in JSON), or the signal's reason.
 */
export async function openDirectory(path: string, options: { readonly signal?: AbortSignal } = {}): Promise<ModelDirectory> {
  const config = await readJsonFile(joinPath(path, "config.json"));
  if (config === undefined) throw await noConfig(path);
  const generationConfig = await readJsonFile(joinPath(path, "generation_config.json"));
  const tokenizer = await readJsonFile(joinPath(path, "tokenizer.json"), TOKENIZER_LIMIT);
  const tokenizerConfig = await readJsonFile(joinPath(path, "tokenizer_config.json"));
  const specialTokens = await readJsonFile(joinPath(path, "special_tokens_map.json"));
  const { chatTemplate, chatTemplates } = await readTemplates(path, tokenizerConfig);
  const pooling = await readPooling(path);
  options.signal?.throwIfAborted();
  const { tensors, close } = await openWeights(path, options);
  return {
    path,
    config,
    ...(generationConfig && { generationConfig }),
    ...(tokenizer && { tokenizer }),
    ...(tokenizerConfig && { tokenizerConfig }),
    ...(specialTokens && { specialTokens }),
    ...(chatTemplate !== undefined && { chatTemplate }),
    chatTemplates,
    ...(pooling && { pooling }),
    tensors,
    close,
  };
}

/** A JSON file that holds an object; undefined where there is no such file. Refused above `limit` bytes. */
export async function readJsonFile(path: string, limit: number = CONFIG_LIMIT): Promise<JsonObject | undefined> {
  if (!(await exists(path))) return undefined;
  return parseJsonObject(path, await readWhole(path, limit));
}

async function noConfig(path: string): Promise<FrugalError> {
  const kind = await kindOf(path);
  if (kind === "missing") return new FrugalError("FRUGAL_NOT_FOUND", `${path}: does not exist; check the path`, { path });
  if (kind !== "directory")
    return new FrugalError("FRUGAL_BAD_ARGUMENT", `${path}: is a file, not a model's directory; name the directory`, { path });
  const gguf = (await listDirectory(path)).find(({ name }) => name.endsWith(".gguf"));
  const remedy =
    gguf === undefined ? "a model's directory has config.json and *.safetensors" : `name the file ${joinPath(path, gguf.name)} in it`;
  return new FrugalError("FRUGAL_NOT_FOUND", `${path}: has no config.json; ${remedy}`, { path });
}

async function openWeights(path: string, options: { readonly signal?: AbortSignal }): Promise<Pick<ModelDirectory, "tensors" | "close">> {
  try {
    return await openSafetensorsDirectory(path, options);
  } catch (error) {
    const pickled = (await listDirectory(path)).find(({ name }) => /^pytorch_model.*\.(?:bin|pt|pth)(?:\.index\.json)?$/.test(name));
    if (pickled === undefined || !(error instanceof FrugalError) || error.code !== "FRUGAL_NOT_FOUND") throw error;
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${path}: has weights only as ${pickled.name}, a pickle that may run code; convert it to safetensors or fetch a revision that has them`,
      { path },
      { cause: error },
    );
  }
}

type Templates = { readonly chatTemplate: string | undefined; readonly chatTemplates: ReadonlyMap<string, string> };

/** The templates of a directory; `tokenizerConfig` is its `tokenizer_config.json`. */
export async function readTemplates(path: string, tokenizerConfig: JsonObject | undefined): Promise<Templates> {
  const inConfig = namedTemplates(joinPath(path, "tokenizer_config.json"), tokenizerConfig?.["chat_template"]);
  const jsonPath = joinPath(path, "chat_template.json");
  const inJson = namedTemplates(jsonPath, (await readJsonFile(jsonPath))?.["chat_template"]);
  const chatTemplates = new Map([...inConfig, ...inJson]);
  const own = joinPath(path, "chat_template.jinja");
  if (await exists(own)) chatTemplates.set("default", new TextDecoder().decode(await readWhole(own, CONFIG_LIMIT)));
  const chatTemplate = chatTemplates.get("default");
  chatTemplates.delete("default");
  return { chatTemplate, chatTemplates };
}

/** A template is a string, or a list of `{name, template}`. */
function namedTemplates(file: string, value: unknown): ReadonlyMap<string, string> {
  if (value === undefined || value === null) return new Map();
  if (typeof value === "string") return new Map([["default", value]]);
  const bad = new FrugalError(
    "FRUGAL_BAD_FILE",
    `${file}: chat_template is neither a string nor a list of {name, template}; correct it`,
    {},
  );
  if (!Array.isArray(value)) throw bad;
  return new Map(
    value.map((entry: unknown): [string, string] => {
      if (!isJsonObject(entry) || typeof entry["name"] !== "string" || typeof entry["template"] !== "string") throw bad;
      return [entry["name"], entry["template"]];
    }),
  );
}

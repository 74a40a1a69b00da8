/** Directories in Hugging Face layout: configuration, tokenizer files and weights as one record. Nothing is interpreted here but names. */
import { FrugalError } from "../tensor/error.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { type Folder, folderOf, type ModelFiles, readFileIn, readJsonIn } from "./folder.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
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
const TEMPLATE_LIMIT = 16 * MEBIBYTE;
/** Gemma's is 33 MB. */
export const TOKENIZER_LIMIT: number = 512 * MEBIBYTE;

/**
 * Opens a directory with `config.json` and safetensors. Rejects with FRUGAL_NOT_FOUND (config or weights missing),
 * FRUGAL_BAD_FILE (naming line and column in JSON), or the signal's reason.
 */
export async function openDirectory(source: string | ModelFiles, options: { readonly signal?: AbortSignal } = {}): Promise<ModelDirectory> {
  const folder = folderOf(source);
  const config = await readJsonIn(folder, "config.json");
  if (config === undefined) throw await noConfig(folder);
  const generationConfig = await readJsonIn(folder, "generation_config.json");
  const tokenizer = await readJsonIn(folder, "tokenizer.json", TOKENIZER_LIMIT);
  const tokenizerConfig = await readJsonIn(folder, "tokenizer_config.json");
  const specialTokens = await readJsonIn(folder, "special_tokens_map.json");
  const { chatTemplate, chatTemplates } = await readTemplates(folder, tokenizerConfig);
  const pooling = await readPooling(folder);
  options.signal?.throwIfAborted();
  const { tensors, close } = await openWeights(folder, options);
  return {
    path: folder.name,
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

async function noConfig(folder: Folder): Promise<FrugalError> {
  const path = folder.name;
  const kind = await folder.kind();
  if (kind === "missing") return new FrugalError("FRUGAL_NOT_FOUND", `${path}: does not exist; check the path`, { path });
  if (kind !== "directory")
    return new FrugalError("FRUGAL_BAD_ARGUMENT", `${path}: is a file, not a model's directory; name the directory`, { path });
  const gguf = (await folder.list()).find((name) => name.endsWith(".gguf"));
  const remedy = gguf === undefined ? "a model's directory has config.json and *.safetensors" : `name the file ${folder.at(gguf)} in it`;
  return new FrugalError("FRUGAL_NOT_FOUND", `${path}: has no config.json; ${remedy}`, { path });
}

async function openWeights(folder: Folder, options: { readonly signal?: AbortSignal }): Promise<Pick<ModelDirectory, "tensors" | "close">> {
  try {
    return await openSafetensorsDirectory(folder, options);
  } catch (error) {
    const pickled = (await folder.list()).find((name) => /^pytorch_model.*\.(?:bin|pt|pth)(?:\.index\.json)?$/.test(name));
    if (pickled === undefined || !(error instanceof FrugalError) || error.code !== "FRUGAL_NOT_FOUND") throw error;
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${folder.name}: has weights only as ${pickled}, a pickle that may run code; convert it to safetensors or fetch a revision that has them`,
      { path: folder.name },
      { cause: error },
    );
  }
}

type Templates = { readonly chatTemplate: string | undefined; readonly chatTemplates: ReadonlyMap<string, string> };

/** The templates of a directory; `tokenizerConfig` is its `tokenizer_config.json`. */
export async function readTemplates(folder: Folder, tokenizerConfig: JsonObject | undefined): Promise<Templates> {
  const inConfig = namedTemplates(folder.at("tokenizer_config.json"), tokenizerConfig?.["chat_template"]);
  const inJson = namedTemplates(folder.at("chat_template.json"), (await readJsonIn(folder, "chat_template.json"))?.["chat_template"]);
  const chatTemplates = new Map([...inConfig, ...inJson]);
  const own = "chat_template.jinja";
  if (await folder.has(own)) chatTemplates.set("default", new TextDecoder().decode(await readFileIn(folder, own, TEMPLATE_LIMIT)));
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

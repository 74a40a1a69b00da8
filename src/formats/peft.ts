/** Directories of PEFT adapters: `adapter_config.json` and `adapter_model.safetensors`. Names of tensors are mapped elsewhere. */
import { FrugalError } from "../tensor/error.ts";
import type { ByteSource } from "../tensor/source.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { joinPath, makeDirectory, openFile, writeWhole } from "./files.ts";
import { type Folder, folderOf, type ModelFiles, readJsonIn } from "./folder.ts";
import { type PeftConfig, readPeftConfig } from "./peft-config.ts";
import { peftJson } from "./peft-json.ts";
import { encodeSafetensors, writeSafetensors } from "./safetensors-write.ts";
import { readSafetensors } from "./safetensors.ts";
import type { TensorToWrite } from "./sink.ts";

export interface PeftFile {
  /** Absent where a lone file of tensors was opened. */
  readonly config: PeftConfig | undefined;
  /** As the file names them, without "base_model.model.". */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Of the safetensors file; PEFT itself reads none of it. */
  readonly metadata: ReadonlyMap<string, string>;
  close(): Promise<void>;
}

const configName = "adapter_config.json";
const tensorsName = "adapter_model.safetensors";
const configLimit = 16 << 20;
const prefix = /^base_model\.(?:model\.)?/;

/**
 * Opens a directory with a PEFT adapter, or one of its `.safetensors` files alone. Rejects with FRUGAL_NOT_FOUND, FRUGAL_BAD_FILE,
 * FRUGAL_UNSUPPORTED (a key or kind that Frugal cannot follow), or the signal's reason.
 */
export async function readPeft(given: string | ModelFiles, options: { readonly signal?: AbortSignal } = {}): Promise<PeftFile> {
  const folder = folderOf(given);
  const path = folder.name;
  const kind = await folder.kind();
  if (kind === "missing") throw new FrugalError("FRUGAL_NOT_FOUND", `${path}: there is no such adapter; check the path`, { path });
  if (kind !== "directory") return openTensors(await openFile(path), undefined, options);
  const lone = loneTensors(given);
  if (lone !== undefined) return openTensors(await folder.open(lone), undefined, options);
  const json = await readJsonIn(folder, configName, configLimit);
  if (json === undefined) throw await noConfig(folder);
  const config = readPeftConfig(folder.at(configName), json);
  if (!(await folder.has(tensorsName))) throw await noTensors(folder);
  return openTensors(await folder.open(tensorsName), config, options);
}

/** The one file of tensors, where nothing else was given. */
function loneTensors(given: string | ModelFiles): string | undefined {
  if (typeof given === "string" || given.files.size !== 1) return undefined;
  const [name] = given.files.keys();
  return name!.endsWith(".safetensors") ? name : undefined;
}

async function openTensors(
  source: ByteSource,
  config: PeftConfig | undefined,
  options: { readonly signal?: AbortSignal },
): Promise<PeftFile> {
  const path = source.name;
  try {
    const file = await readSafetensors(source, options);
    const tensors = new Map<string, StoredTensor>();
    for (const [name, tensor] of file.tensors) {
      const short = name.replace(prefix, "");
      if (tensors.has(short))
        throw new FrugalError("FRUGAL_BAD_FILE", `${path}: has tensor ${short} with and without its prefix; keep one`, { tensor: name });
      tensors.set(short, tensor);
    }
    return { config, tensors, metadata: file.metadata, close: () => file.close() };
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function noConfig(folder: Folder): Promise<FrugalError> {
  const path = folder.name;
  const names = await folder.list();
  const instead = names.includes("config.json")
    ? "it is a whole model: use it in place of the base"
    : "an adapter has adapter_config.json and adapter_model.safetensors";
  return new FrugalError("FRUGAL_NOT_FOUND", `${path}: has no ${configName}; ${instead}`, { path });
}

async function noTensors(folder: Folder): Promise<FrugalError> {
  const path = folder.name;
  const pickled = (await folder.list()).find((name) => /^adapter_model\.(?:bin|pt|pth)$/.test(name));
  if (pickled === undefined) return new FrugalError("FRUGAL_NOT_FOUND", `${folder.at(tensorsName)}: is missing; fetch it again`, { path });
  return new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `${path}: has its weights only as ${pickled}, a pickle that may run code; save them as safetensors`,
    { path },
  );
}

export interface PeftContents {
  readonly config: PeftConfig;
  /** Under the names that PEFT gives them, "base_model.model." included. */
  readonly tensors: readonly TensorToWrite[];
  /** Goes into the tensors' file. */
  readonly metadata?: ReadonlyMap<string, string>;
}

/** An adapter's files in memory, as PEFT names them. */
export type PeftFiles = {
  readonly "adapter_config.json": string;
  readonly "adapter_model.safetensors": Uint8Array;
};

const metadataOf = ({ metadata }: PeftContents): Map<string, string> => new Map([["format", "pt"], ...(metadata ?? [])]);
const configText = ({ config }: PeftContents): string => `${JSON.stringify(peftJson(config), undefined, 2)}\n`;

/** Writes an adapter that PEFT loads. Each file appears whole or not at all, the configuration last. Rejects with FRUGAL_NO_SPACE. */
export async function writePeft(directory: string, contents: PeftContents): Promise<void> {
  await makeDirectory(directory);
  await writeSafetensors(joinPath(directory, tensorsName), contents.tensors, metadataOf(contents));
  await writeWhole(joinPath(directory, configName), configText(contents));
}

/** The same files where there is no file system. */
export async function encodePeft(contents: PeftContents): Promise<PeftFiles> {
  const tensors = await encodeSafetensors(contents.tensors, metadataOf(contents));
  return { [configName]: configText(contents), [tensorsName]: tensors };
}

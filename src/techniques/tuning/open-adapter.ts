/** From an adapter's path to a model that carries it: the steps that `--adapter` and `load(..., { adapter })` take. */
import { readGguf } from "../../formats/gguf/read.ts";
import { exists, openFile } from "../../formats/files.ts";
import { folderOf, isFiles, type ModelFiles } from "../../formats/folder.ts";
import { readPeft } from "../../formats/peft.ts";
import type { Checkpoint, Model } from "../../models/family.ts";
import { openModel } from "../../models/index.ts";
import type { ByteSource } from "../../tensor/source.ts";
import { openTunedModel, tunedName } from "../tuned-model.ts";
import type { Adapter } from "./adapter.ts";
import { adaptedModel, withFurther } from "./adapted-model.ts";
import { expectBase, fingerprintKey, parseFingerprint } from "./base-fingerprint.ts";
import { readGgufAdapter } from "./gguf-adapter.ts";
import { ownAlpha, readPeftAdapter } from "./peft-files.ts";

export interface OpenAdapterOptions {
  /** Of a file of tensors without `adapter_config.json`: what is divided by the rank to give LoRA's scale. */
  readonly alpha?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An adapter for the model of a checkpoint: a directory that PEFT writes, one of its `.safetensors` files alone, or a GGUF file that
 * llama.cpp takes as `--lora`; or the files of one of these. Rejects with FRUGAL_BAD_ARGUMENT where it was made for another base.
 */
export async function openAdapter(
  given: string | ModelFiles,
  checkpoint: Checkpoint,
  model: Model,
  { alpha, signal }: OpenAdapterOptions = {},
): Promise<Adapter> {
  const options = signal === undefined ? {} : { signal };
  const path = nameOf(given);
  const gguf = ggufOf(given);
  if (gguf !== undefined) {
    if (alpha !== undefined) throw ownAlpha(path);
    const source = await gguf();
    try {
      const file = await readGguf(source, options);
      const fingerprint = parseFingerprint(textOf(file.metadata.get(fingerprintKey)));
      if (fingerprint !== undefined) await expectBase(path, model, fingerprint, textOf(file.metadata.get("general.base_model.0.name")));
      return await readGgufAdapter(path, file, checkpoint, model);
    } finally {
      await source.close();
    }
  }
  const file = await readPeft(given, options);
  try {
    const fingerprint = parseFingerprint(file.metadata.get(fingerprintKey));
    if (fingerprint !== undefined) await expectBase(path, model, fingerprint, file.config?.baseModel);
    return await readPeftAdapter(path, file, model, { alpha });
  } finally {
    await file.close();
  }
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** How messages call an adapter. */
export const nameOf = (given: string | ModelFiles): string => (isFiles(given) ? given.name : given);

function ggufOf(given: string | ModelFiles): (() => Promise<ByteSource>) | undefined {
  if (!isFiles(given)) return given.endsWith(".gguf") ? () => openFile(given) : undefined;
  const [file, ...others] = given.files.keys();
  return file?.endsWith(".gguf") === true && others.length === 0 ? () => folderOf(given).open(file) : undefined;
}

/** What training left of techniques for which PEFT has no file. */
async function tunedIn(given: string | ModelFiles): Promise<(() => Promise<ByteSource>) | undefined> {
  const folder = folderOf(given);
  if ((await folder.kind()) === "directory") return (await folder.has(tunedName)) ? () => folder.open(tunedName) : undefined;
  return /(?:^|[/\\])tuned\.safetensors$/.test(folder.name) && (await exists(folder.name)) ? () => openFile(folder.name) : undefined;
}

/** The model of a checkpoint with an adapter beside its weights. */
export async function openAdaptedModel(
  given: string | ModelFiles,
  checkpoint: Checkpoint,
  options: OpenAdapterOptions = {},
): Promise<Model> {
  const tuned = await tunedIn(given);
  if (tuned !== undefined) return openTunedModel(await tuned(), checkpoint, options.signal);
  const base = openModel(checkpoint);
  const adapter = await openAdapter(given, checkpoint, base, options);
  return adaptedModel(adapter.further.size === 0 ? base : openModel(withFurther(checkpoint, adapter)), adapter);
}

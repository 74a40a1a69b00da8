/** Writes a merged model as the files that its base was: a GGUF file, or a directory in Hugging Face layout with everything else in it copied. */
import { exists, joinPath, kindOf, listDirectory, makeDirectory, readWhole, remove, replace, writeWhole } from "../../formats/files.ts";
import { fileTypeOf } from "../../formats/gguf/file-types.ts";
import { writeGguf } from "../../formats/gguf/write.ts";
import { writeSafetensors } from "../../formats/safetensors-write.ts";
import type { TensorToWrite, WriteOptions } from "../../formats/sink.ts";
import type { Checkpoint } from "../../models/family.ts";
import { openModel } from "../../models/index.ts";
import type { OpenedCheckpoint } from "../../models/open-checkpoint.ts";
import { FrugalError } from "../../tensor/error.ts";
import { formatByName } from "../../tensor/formats/index.ts";
import type { MetadataValue } from "../../tensor/strings.ts";
import type { Adapter } from "./adapter.ts";
import { withFurther } from "./adapted-model.ts";
import { mergedTensors } from "./merge.ts";

export interface MergeOptions extends WriteOptions {
  /** What all matrices are stored as; each as it was where absent. */
  readonly format?: string | undefined;
}

export interface Merged {
  /** Weights of the model that are others now. */
  readonly changed: number;
  /** How many tensors are stored in each format. */
  readonly formats: Readonly<Record<string, number>>;
}

/**
 * Merges the adapter and writes the model to `out`, whole or not at all: beside it first, then in its place. Rejects with FRUGAL_BAD_ARGUMENT
 * where `out` is the base itself, is there already, or is the wrong kind of place; FRUGAL_UNSUPPORTED for adapters that weights cannot take in;
 * FRUGAL_NO_SPACE.
 */
export async function mergeInto(out: string, opened: OpenedCheckpoint, adapter: Adapter, options: MergeOptions = {}): Promise<Merged> {
  const { format, ...writing } = options;
  await checkTarget(out, opened);
  const checkpoint = withFurther(opened.checkpoint, adapter);
  const { tensors, changed } = await mergedTensors(checkpoint, openModel(checkpoint), adapter, format);
  if (checkpoint.kind === "gguf") await writeFile(out, checkpoint, tensors, format, writing);
  else await writeDirectory(out, opened, tensors, format, writing);
  const formats: Record<string, number> = {};
  for (const tensor of tensors) formats[tensor.format.name] = (formats[tensor.format.name] ?? 0) + 1;
  return { changed, formats };
}

/** Says what is wrong with `out` before anything is computed. */
async function checkTarget(out: string, { path, checkpoint }: OpenedCheckpoint): Promise<void> {
  const refuse = (problem: string): never => {
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${out}: ${problem}`, { out });
  };
  const kind = await kindOf(out);
  if (out === path) refuse("is the base itself; name another place");
  if (checkpoint.kind === "gguf") {
    if (!out.endsWith(".gguf")) refuse(`the model is a GGUF file, and so is what is written; name a file that ends in .gguf`);
    if (kind === "directory") refuse("is a directory; name a file");
    return;
  }
  if ((await kindOf(path)) !== "directory")
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${path}: is neither GGUF nor a directory in Hugging Face layout; convert it first`, {
      path,
    });
  if (/\.(?:gguf|safetensors)$/.test(out)) refuse("the model is a directory, and so is what is written; name a directory");
  if (kind === "directory" ? (await listDirectory(out)).length > 0 : kind !== "missing") refuse("is there already; name a new directory");
}

async function writeFile(
  out: string,
  { metadata: all, types }: Checkpoint & { readonly kind: "gguf" },
  tensors: readonly TensorToWrite[],
  format: string | undefined,
  options: WriteOptions,
): Promise<void> {
  const metadata = new Map<string, MetadataValue>(all);
  const type = format === undefined ? undefined : fileTypeOf(format);
  if (type !== undefined) metadata.set("general.file_type", type.number);
  else if (format !== undefined) metadata.delete("general.file_type");
  await writeGguf(out, { metadata, ...(types === undefined ? {} : { types }), tensors }, options);
}

/** Weights under any name, and what says which file has which. */
const weightFile = /\.(?:safetensors|bin|pt|pth|h5|msgpack|onnx|gguf|ckpt)$|\.(?:safetensors|bin)\.index\.json$/;
const copyLimit = 1 << 30;

async function writeDirectory(
  out: string,
  { path, checkpoint }: OpenedCheckpoint,
  tensors: readonly TensorToWrite[],
  format: string | undefined,
  options: WriteOptions,
): Promise<void> {
  const beside = `${out.replace(/[/\\]+$/, "")}.${globalThis.crypto.randomUUID().slice(0, 8)}.part`;
  try {
    await copyDirectory(path, beside);
    await writeSafetensors(joinPath(beside, "model.safetensors"), tensors, new Map([["format", "pt"]]), options);
    if (format !== undefined && checkpoint.kind === "huggingface") {
      const type = { F32: "float32", F16: "float16", BF16: "bfloat16" }[formatByName(format.toUpperCase()).name];
      const key = "dtype" in checkpoint.config ? "dtype" : "torch_dtype";
      await writeWhole(joinPath(beside, "config.json"), `${JSON.stringify({ ...checkpoint.config, [key]: type }, undefined, 2)}\n`);
    }
    if (await exists(out)) await remove(out);
    await replace(beside, out);
  } catch (error) {
    await remove(beside);
    throw error;
  }
}

async function copyDirectory(from: string, to: string): Promise<void> {
  await makeDirectory(to);
  for (const { name, isDirectory } of await listDirectory(from)) {
    if (name.startsWith(".") || weightFile.test(name)) continue;
    if (isDirectory) await copyDirectory(joinPath(from, name), joinPath(to, name));
    else await writeWhole(joinPath(to, name), await readWhole(joinPath(from, name), copyLimit));
  }
}

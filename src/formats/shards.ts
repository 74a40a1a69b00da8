/** Safetensors in a directory: one file, or shards with `model.safetensors.index.json` that says which tensor is in which. */
import { FrugalError } from "../tensor/error.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { type Folder, readFileIn } from "./folder.ts";
import { isJsonObject, parseJsonObject } from "./json.ts";
import { readSafetensors, type SafetensorsFile } from "./safetensors.ts";

const INDEX_LIMIT = 100_000_000;
/** Names a directory's weights have, in the order they are looked for: transformers', then diffusers'. */
const stems = ["model", "diffusion_pytorch_model", "adapter_model"];

/** Opens the safetensors of a directory as one. Rejects with FRUGAL_NOT_FOUND naming a missing shard, and as `readSafetensors`. */
export async function openSafetensorsDirectory(folder: Folder, options: { readonly signal?: AbortSignal } = {}): Promise<SafetensorsFile> {
  for (const stem of stems) {
    const single = `${stem}.safetensors`;
    if (await folder.has(single)) return openOne(folder, single, options);
    const index = `${stem}.safetensors.index.json`;
    if (await folder.has(index)) return openShards(folder, index, options);
  }
  const found = (await folder.list()).filter((name) => name.endsWith(".safetensors"));
  if (found.length === 1) return openOne(folder, found[0]!, options);
  const what = found.length === 0 ? "has no .safetensors file" : `has ${found.length} .safetensors files and no index`;
  throw new FrugalError("FRUGAL_NOT_FOUND", `${folder.name}: ${what}; it should have model.safetensors or model.safetensors.index.json`, {
    files: found.length,
  });
}

async function openOne(folder: Folder, file: string, options: { readonly signal?: AbortSignal }): Promise<SafetensorsFile> {
  const source = await folder.open(file);
  try {
    return await readSafetensors(source, options);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function openShards(folder: Folder, index: string, options: { readonly signal?: AbortSignal }): Promise<SafetensorsFile> {
  const indexPath = folder.at(index);
  const weightMap = readWeightMap(indexPath, await readFileIn(folder, index, INDEX_LIMIT));
  const opened = new Map<string, SafetensorsFile>();
  const close = async (): Promise<void> => void (await Promise.all([...opened.values()].map((file) => file.close())));
  try {
    for (const shard of new Set(weightMap.values())) {
      options.signal?.throwIfAborted();
      opened.set(shard, await openShard(folder, shard, indexPath, options));
    }
    const tensors = new Map<string, StoredTensor>();
    for (const [name, shard] of weightMap) tensors.set(name, tensorIn(opened.get(shard)!, name, shard, indexPath));
    checkUnlisted(opened, tensors, indexPath);
    const metadata = new Map([...opened.values()].flatMap((file) => [...file.metadata]));
    return { metadata, tensors, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const badIndex = (index: string, wrong: string): FrugalError =>
  new FrugalError("FRUGAL_BAD_FILE", `${index}: ${wrong}; fetch the index again`, {});

function readWeightMap(indexPath: string, content: Uint8Array): ReadonlyMap<string, string> {
  const { weight_map: map } = parseJsonObject(indexPath, content);
  if (!isJsonObject(map)) throw badIndex(indexPath, "has no weight_map of tensor names to files");
  const entries = Object.entries(map);
  for (const [tensor, shard] of entries) {
    // A shard lies beside its index: a path elsewhere would let an index read any file.
    if (typeof shard !== "string" || !/^[^/\\]+\.safetensors$/.test(shard))
      throw badIndex(
        indexPath,
        `maps tensor ${tensor} to ${JSON.stringify(shard)}, which is not the name of a .safetensors file beside it`,
      );
  }
  return new Map(entries as [string, string][]);
}

async function openShard(
  folder: Folder,
  shard: string,
  indexPath: string,
  options: { readonly signal?: AbortSignal },
): Promise<SafetensorsFile> {
  if (!(await folder.has(shard)))
    throw new FrugalError(
      "FRUGAL_NOT_FOUND",
      `${folder.at(shard)}: the shard that ${indexPath} names is missing; put it beside the others`,
      {
        shard,
      },
    );
  return openOne(folder, shard, options);
}

function tensorIn(file: SafetensorsFile, name: string, shard: string, indexPath: string): StoredTensor {
  const tensor = file.tensors.get(name);
  if (tensor !== undefined) return tensor;
  throw badIndex(indexPath, `says that ${shard} has tensor ${name}, but it has not`);
}

/** A tensor that no index entry names would change the model if it counted, so it is not dropped silently. */
function checkUnlisted(opened: ReadonlyMap<string, SafetensorsFile>, tensors: ReadonlyMap<string, StoredTensor>, indexPath: string): void {
  for (const [shard, file] of opened)
    for (const [name, tensor] of file.tensors)
      if (tensors.get(name) !== tensor)
        throw badIndex(indexPath, `does not name tensor ${name} of ${shard}${tensors.has(name) ? " but one of another shard" : ""}`);
}

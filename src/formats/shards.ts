/** Safetensors in a directory: one file, or shards with `model.safetensors.index.json` that says which tensor is in which. */
import { FrugalError } from "../tensor/error.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { exists, joinPath, listDirectory, openFile, readWhole } from "./files.ts";
import { isJsonObject, parseJsonObject } from "./json.ts";
import { readSafetensors, type SafetensorsFile } from "./safetensors.ts";

const INDEX_LIMIT = 100_000_000;
/** Names a directory's weights have, in the order they are looked for: transformers', then diffusers'. */
const stems = ["model", "diffusion_pytorch_model", "adapter_model"];

/** Opens the safetensors of a directory as one. Rejects with FRUGAL_NOT_FOUND naming a missing shard, and as `readSafetensors`. */
export async function openSafetensorsDirectory(
  directory: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<SafetensorsFile> {
  for (const stem of stems) {
    const single = joinPath(directory, `${stem}.safetensors`);
    if (await exists(single)) return openOne(single, options);
    const index = joinPath(directory, `${stem}.safetensors.index.json`);
    if (await exists(index)) return openShards(directory, index, options);
  }
  const found = (await listDirectory(directory)).filter(({ name }) => name.endsWith(".safetensors"));
  if (found.length === 1) return openOne(joinPath(directory, found[0]!.name), options);
  const what = found.length === 0 ? "has no .safetensors file" : `has ${found.length} .safetensors files and no index`;
  throw new FrugalError("FRUGAL_NOT_FOUND", `${directory}: ${what}; it should have model.safetensors or model.safetensors.index.json`, {
    files: found.length,
  });
}

async function openOne(path: string, options: { readonly signal?: AbortSignal }): Promise<SafetensorsFile> {
  const source = await openFile(path);
  try {
    return await readSafetensors(source, options);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function openShards(directory: string, indexPath: string, options: { readonly signal?: AbortSignal }): Promise<SafetensorsFile> {
  const weightMap = await readWeightMap(indexPath);
  const opened = new Map<string, SafetensorsFile>();
  const close = async (): Promise<void> => void (await Promise.all([...opened.values()].map((file) => file.close())));
  try {
    for (const shard of new Set(weightMap.values())) {
      options.signal?.throwIfAborted();
      opened.set(shard, await openShard(directory, shard, indexPath, options));
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

async function readWeightMap(indexPath: string): Promise<ReadonlyMap<string, string>> {
  const { weight_map: map } = parseJsonObject(indexPath, await readWhole(indexPath, INDEX_LIMIT));
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
  directory: string,
  shard: string,
  indexPath: string,
  options: { readonly signal?: AbortSignal },
): Promise<SafetensorsFile> {
  const path = joinPath(directory, shard);
  if (!(await exists(path)))
    throw new FrugalError("FRUGAL_NOT_FOUND", `${path}: the shard that ${indexPath} names is missing; put it beside the others`, { shard });
  return openOne(path, options);
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

/**
 * An adapter made part of its base: every changed weight is computed in F32 from the stored one, W' = outputs ⊙ W ⊙ inputs + B A, and stored
 * again, in its own format or another. Everything else of the model's files stays as it is.
 */
import type { Checkpoint, Model } from "../../models/family.ts";
import { moduleTensors } from "../../models/modules.ts";
import { tensorsWith } from "../../models/write-back.ts";
import { recoded } from "../../formats/recode.ts";
import type { TensorToWrite } from "../../formats/sink.ts";
import { FrugalError, nearest } from "../../tensor/error.ts";
import type { StorageFormat } from "../../tensor/format.ts";
import { formatByName, formats } from "../../tensor/formats/index.ts";
import type { StoredTensor } from "../../tensor/stored.ts";
import type { Adapter } from "./adapter.ts";
import { changedVectors, linearChanges, numbersOfWeight } from "./adapted-model.ts";
import { changeRow } from "./linear-change.ts";

export interface MergedTensors {
  /** All tensors of the checkpoint, in its order. */
  readonly tensors: readonly TensorToWrite[];
  /** How many weights of the model are others. */
  readonly changed: number;
}

/**
 * The checkpoint's tensors with the adapter in them. `format` is what all matrices are stored as, where not as they are: "F16", "Q8_0"; rows that are
 * not whole blocks of it are stored as Q8_0 or F16. The model must be the checkpoint's. Rejects as `linearChanges` does.
 */
export async function mergedTensors(checkpoint: Checkpoint, model: Model, adapter: Adapter, format?: string): Promise<MergedTensors> {
  const changes = await linearChanges(model, adapter);
  const vectors = await changedVectors(model, adapter, changes);
  const wanted = format === undefined ? undefined : writableFormat(format);
  const weights = weightTensors(model);
  const formatOf = (tensor: StoredTensor): StorageFormat =>
    wanted === undefined || !weights.has(tensor.name) ? tensor.format : formatFor(wanted, tensor, checkpoint);
  const read = async (name: string): Promise<Float32Array> => {
    const change = changes.get(name);
    const vector = vectors.get(name);
    if (change === undefined) return vector!.values;
    const numbers = vector?.values.slice() ?? (await numbersOfWeight(model.weights, name));
    const [outputs, inputs] = model.weights.get(name)!.shape as readonly [number, number];
    for (let row = 0; row < outputs; row++) changeRow(numbers.subarray(row * inputs, (row + 1) * inputs), row, change);
    return numbers;
  };
  const names = new Set([...changes.keys(), ...vectors.keys()]);
  const held = tensorsWith(checkpoint, model, names, read, formatOf);
  const tensors = held.map((tensor) => {
    const stored = checkpoint.tensors.get(tensor.name)!;
    const own = formatOf(stored);
    return tensor.format === own ? tensor : recoded(stored, own);
  });
  return { tensors, changed: names.size };
}

/** Throws FRUGAL_BAD_ARGUMENT for a name that is no format that can be written. */
function writableFormat(name: string): StorageFormat {
  const writable = formats.flatMap((format) => (format.encode === undefined ? [] : [format.name]));
  if (writable.includes(name.toUpperCase())) return formatByName(name.toUpperCase());
  const near = nearest(name, writable);
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `merge: format is ${JSON.stringify(name)}; ${near === undefined ? "" : `did you mean ${near}? `}It may be same, ${writable.join(", ")}`,
    { format: name },
  );
}

/** Tensors that fill weights: all but tables and counters that files hold besides. */
function weightTensors(model: Model): ReadonlySet<string> {
  const names = [...model.weights.values()].flatMap(({ content }) =>
    "rows" in content ? content.rows.map(({ tensor }) => tensor.name) : [],
  );
  const { basePrefix } = model.huggingface;
  const modules = model.fileKind === "gguf" ? [] : [...moduleTensors(model).keys()];
  return new Set([...names, ...modules, ...modules.map((name) => name.slice(name.startsWith(basePrefix) ? basePrefix.length : 0))]);
}

/** Vectors are few and count much: GGUF's readers want them in F32, and only formats that store each number by itself take them. */
function formatFor(format: StorageFormat, tensor: StoredTensor, { kind }: Checkpoint): StorageFormat {
  if (tensor.shape.length > 1) return fitting(format, tensor);
  if (kind === "gguf") return tensor.format;
  return format.blockSize === 1 ? format : tensor.format;
}

/** Where a row is not whole blocks, the next best that fits. */
function fitting(format: StorageFormat, { shape }: StoredTensor): StorageFormat {
  const row = shape.at(-1)!;
  return [format, formatByName("Q8_0")].find(({ blockSize }) => row % blockSize === 0) ?? formatByName("F16");
}

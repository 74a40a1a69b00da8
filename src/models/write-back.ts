/** Changed weights as the tensors of a checkpoint in Hugging Face layout: the way back from where families say that each weight is. */
import { copyOf, type TensorToWrite } from "../formats/sink.ts";
import { FrugalError } from "../tensor/error.ts";
import { storedBytes, type StorageFormat } from "../tensor/format.ts";
import { formatByName } from "../tensor/formats/index.ts";
import { size } from "../tensor/shape.ts";
import { decodeTensor, type StoredTensor } from "../tensor/stored.ts";
import type { Checkpoint, Model } from "./family.ts";
import { storedAt } from "./weights-finder.ts";

/** Puts the numbers of one weight into its part of the tensor's. */
type Put = (tensor: Float32Array, width: number, numbers: Float32Array) => void;

/**
 * The tensors of the checkpoint: those that hold a changed weight in the format that `formatOf` names (F32), all others copied as they are
 * stored. `read` gives a weight's numbers when the turn of its tensor comes. Throws FRUGAL_UNSUPPORTED, naming the weight, where its place cannot be written.
 */
export function tensorsWith(
  checkpoint: Checkpoint,
  model: Model,
  changed: Iterable<string>,
  read: (name: string) => Promise<Float32Array>,
  formatOf: (tensor: StoredTensor) => StorageFormat = () => formatByName("F32"),
): TensorToWrite[] {
  const parts = new Map<string, (readonly [name: string, put: Put])[]>();
  for (const name of changed)
    for (const [tensor, put] of placesOf(checkpoint, model, name)) parts.set(tensor, [...(parts.get(tensor) ?? []), [name, put]]);
  return [...checkpoint.tensors.values()].map((tensor) => {
    const own = parts.get(tensor.name);
    if (own === undefined) return copyOf(tensor);
    const format = formatOf(tensor);
    return { name: tensor.name, shape: tensor.shape, format, bytes: filled(tensor, own, read, format) };
  });
}

async function* filled(
  tensor: StoredTensor,
  parts: readonly (readonly [name: string, put: Put])[],
  read: (name: string) => Promise<Float32Array>,
  format: StorageFormat,
): AsyncGenerator<Uint8Array> {
  const numbers = await decodeTensor(tensor);
  for (const [name, put] of parts) put(numbers, tensor.shape.at(-1) ?? 1, await read(name));
  yield* encoded(tensor.name, numbers, tensor.shape.at(-1) ?? 1, format);
}

/** Some rows at a time: a format's blocks end where rows do. Throws FRUGAL_UNSUPPORTED for a format that cannot be written. */
export function* encoded(name: string, numbers: Float32Array, width: number, format: StorageFormat): Generator<Uint8Array> {
  if (format.encode === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${name}: ${format.name} can be read but not written; choose another format`, {
      tensor: name,
    });
  const step = Math.max(1, Math.floor(valuesAtOnce / width)) * width;
  for (let first = 0; first < numbers.length; first += step) {
    const some = numbers.subarray(first, first + step);
    const bytes = new Uint8Array(storedBytes(format, some.length));
    format.encode(some, bytes);
    yield bytes;
  }
}

const valuesAtOnce = 1 << 20;

/** Where a weight lies: in rows of tensors as they are, or as its family's place says. */
function placesOf(checkpoint: Checkpoint, model: Model, name: string): (readonly [tensor: string, put: Put])[] {
  const weight = model.weights.get(name);
  if (weight === undefined) throw new FrugalError("FRUGAL_INTERNAL", `weights: the model has no weight "${name}"`, { weight: name });
  const { content, shape } = weight;
  if ("rows" in content) {
    let before = 0;
    return content.rows.map(({ tensor, first, count }) => {
      const from = before;
      before += count;
      const put: Put = (into, width, numbers) => into.set(numbers.subarray(from * width, (from + count) * width), first * width);
      return [tensor.name, put] as const;
    });
  }
  const layer = /\.(\d+)\./.exec(name)?.[1] ?? "";
  const place = model.places[layer === "" ? name : name.replace(`.${layer}.`, ".#.")];
  const at = place === undefined ? undefined : storedAt(place, (sign) => checkpoint.tensors.has(sign.replace("#", layer)));
  const { basePrefix } = model.huggingface;
  const full = at?.tensor.replace("#", layer);
  const found = [full, full?.startsWith(basePrefix) === true ? full.slice(basePrefix.length) : undefined].find(
    (each) => each !== undefined && checkpoint.tensors.has(each),
  );
  if (at === undefined || found === undefined)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${checkpoint.name}: weight "${name}" cannot be written back to where it was read from; tune an adapter in place of it`,
      { weight: name },
    );
  const rows = shape[0]!;
  const columns = size(shape.slice(1));
  const put: Put = (into, width, numbers) => {
    for (let row = 0; row < rows; row++) {
      const target = at.row(row, rows);
      for (let column = 0; column < columns; column++) {
        const index = at.transposed === true ? column * width + target : shape.length === 1 ? target : target * width + column;
        into[index] = numbers[row * columns + column]! - (at.offset ?? 0);
      }
    }
  };
  return [[found, put]];
}

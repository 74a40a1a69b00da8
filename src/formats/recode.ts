/** A stored tensor in another format, some rows at a time, so that a tensor of any size passes through a few megabytes. */
import { FrugalError } from "../tensor/error.ts";
import { storedBytes, type StorageFormat } from "../tensor/format.ts";
import { size } from "../tensor/shape.ts";
import type { StoredTensor } from "../tensor/stored.ts";
import { copyOf, type TensorToWrite } from "./sink.ts";

/** Values that are decoded and encoded together: fractions of a second, so that an abort is heard in between. */
const valuesAtOnce = 1 << 18;

/**
 * The tensor as one to be written in `format`; where it has that format already, its bytes as they are. Reading it rejects with
 * FRUGAL_UNSUPPORTED for a format that is only read, FRUGAL_NUMERIC, naming the tensor, for a number that is not finite.
 */
export const recoded = (tensor: StoredTensor, format: StorageFormat): TensorToWrite =>
  tensor.format === format ? copyOf(tensor) : { name: tensor.name, shape: tensor.shape, format, bytes: recodedChunks(tensor, format) };

async function* recodedChunks(tensor: StoredTensor, format: StorageFormat): AsyncGenerator<Uint8Array> {
  const { name, shape, source, offset, format: from } = tensor;
  if (format.encode === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${name}: ${format.name} can be read but not written; choose another format`, {
      tensor: name,
    });
  const total = size(shape);
  const step = Math.max(1, Math.floor(valuesAtOnce / (shape.at(-1) ?? 1))) * (shape.at(-1) ?? 1);
  for (let first = 0; first < total; first += step) {
    const values = new Float32Array(Math.min(step, total - first));
    from.decode(await source.read(offset + storedBytes(from, first), storedBytes(from, values.length)), values);
    const bytes = new Uint8Array(storedBytes(format, values.length));
    try {
      format.encode(values, bytes);
    } catch (error) {
      if (!(error instanceof FrugalError)) throw error;
      throw new FrugalError(error.code, `tensor ${name}, from value ${first} on: ${error.message}`, { ...error.fields, tensor: name });
    }
    yield bytes;
    // Bytes in memory are read without waiting; an abort comes from outside.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

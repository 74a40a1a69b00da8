/** Reads the weights that graphs use into plain f32 arrays, whatever they are stored as. */
import { printDims } from "../graph/dim.ts";
import { sourceName, type Value } from "../graph/value.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import { storedBytes } from "../tensor/format.ts";
import { type Shape, size } from "../tensor/shape.ts";
import type { RowRange, Weight, Weights } from "./backend.ts";

export interface DecodeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Read and decoded at a time, so that an abort is noticed and stored bytes are not held. */
const bytesAtOnce = 1 << 22;
/** Weights this small are read together: one after the other, the waits between a model's hundred norms cost more than the norms. */
const smallWeight = 1 << 16;

/** By name. Throws FRUGAL_NOT_FOUND, FRUGAL_SHAPE, FRUGAL_OUT_OF_MEMORY, and what the source of a weight throws. */
export async function decodeWeights(
  values: Iterable<Value>,
  weights: Weights,
  { signal, onProgress }: DecodeOptions,
): Promise<Map<string, Float32Array>> {
  const wanted = new Map([...values].map((value) => [sourceName(value), findWeight(value, weights)]));
  const total = [...wanted.values()].reduce((sum, { shape }) => sum + 4 * size(shape), 0);
  let done = 0;
  const decoded = new Map<string, Float32Array>();
  const decode = async (name: string, weight: Weight): Promise<void> => {
    signal?.throwIfAborted();
    const numbers = "values" in weight.content ? await weight.content.values() : allocate(name, size(weight.shape));
    if (numbers.length !== size(weight.shape))
      throw new FrugalError(
        "FRUGAL_SHAPE",
        `weight "${name}": [${weight.shape.join(", ")}] needs ${size(weight.shape)} numbers, got ${numbers.length}`,
      );
    if ("rows" in weight.content) await decodeRows(name, weight.content.rows, weight.shape, numbers, signal);
    const wrong = numbers.findIndex((number) => !Number.isFinite(number));
    if (wrong >= 0) throw notFinite(name, weight, Math.floor(wrong / (weight.shape.at(-1) ?? 1)));
    decoded.set(name, numbers);
    done += 4 * numbers.length;
    onProgress?.(done, total);
  };
  const isSmall = ({ shape }: Weight): boolean => 4 * size(shape) <= smallWeight;
  const all = [...wanted];
  await Promise.all(all.filter(([, weight]) => isSmall(weight)).map(([name, weight]) => decode(name, weight)));
  for (const [name, weight] of all) if (!isSmall(weight)) await decode(name, weight);
  return decoded;
}

/** NaN or infinity in a row of a weight; names the file and tensor it comes from. */
export function notFinite(name: string, { content }: Weight, row: number): FrugalError {
  let before = 0;
  for (const { tensor, first, count } of "rows" in content ? content.rows : []) {
    if (row < before + count) {
      const at = first + row - before;
      return new FrugalError(
        "FRUGAL_NUMERIC",
        `${tensor.source.name}: tensor "${tensor.name}" holds NaN or infinity in row ${at}; the file is damaged or the training went wrong, get another copy`,
        { file: tensor.source.name, tensor: tensor.name, row: at },
      );
    }
    before += count;
  }
  return new FrugalError(
    "FRUGAL_NUMERIC",
    `weight "${name}": holds NaN or infinity in row ${row}; the file it is computed from is damaged`,
    {
      weight: name,
      row,
    },
  );
}

export function findWeight(value: Value, weights: Weights): Weight {
  const name = sourceName(value);
  const weight = weights.get(name);
  if (weight === undefined) {
    const near = nearest(name, weights.keys());
    throw new FrugalError(
      "FRUGAL_NOT_FOUND",
      `weight "${name}": the graph needs it, but it is not among the ${weights.size} given${near === undefined ? "" : `; did you mean "${near}"?`}`,
      {
        weight: name,
      },
    );
  }
  if (weight.shape.join() !== value.shape.join())
    throw new FrugalError("FRUGAL_SHAPE", `weight "${name}": the graph needs ${printDims(value.shape)}, got [${weight.shape.join(", ")}]`, {
      weight: name,
    });
  return weight;
}

async function decodeRows(
  name: string,
  ranges: readonly RowRange[],
  shape: Shape,
  numbers: Float32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const width = shape[shape.length - 1] ?? 1;
  const rows = ranges.reduce((sum, { count }) => sum + count, 0);
  if (rows * width !== numbers.length)
    throw new FrugalError(
      "FRUGAL_SHAPE",
      `weight "${name}": [${shape.join(", ")}] has ${numbers.length / width} rows, its parts have ${rows}`,
      { weight: name },
    );
  let row = 0;
  for (const { tensor, first, count } of ranges) {
    const rowBytes = storedBytes(tensor.format, width);
    if (
      (tensor.shape[tensor.shape.length - 1] ?? 1) !== width ||
      !Number.isInteger(rowBytes) ||
      first < 0 ||
      (first + count) * rowBytes > tensor.byteLength
    )
      throw new FrugalError(
        "FRUGAL_SHAPE",
        `weight "${name}": rows ${first} to ${first + count} of width ${width} are not in ${tensor.name} [${tensor.shape.join(", ")}] ${tensor.format.name} of ${tensor.byteLength} bytes`,
        { weight: name },
      );
    const step = Math.max(1, Math.floor(bytesAtOnce / rowBytes));
    for (let at = 0; at < count; at += step) {
      signal?.throwIfAborted();
      const some = Math.min(step, count - at);
      const bytes = await tensor.source.read(tensor.offset + (first + at) * rowBytes, some * rowBytes);
      tensor.format.decode(bytes, numbers.subarray(row * width, (row + some) * width));
      row += some;
    }
  }
}

/** A RangeError of the runtime as an error of ours. */
export function allocate(what: string, length: number): Float32Array {
  try {
    return new Float32Array(length);
  } catch (cause) {
    throw new FrugalError(
      "FRUGAL_OUT_OF_MEMORY",
      `${what}: no memory for ${4 * length} bytes; use a smaller model or fewer rows`,
      { needed: 4 * length },
      { cause },
    );
  }
}

/** Only weights that a program updates can be read and written. */
export function expectUpdated(backend: string, name: string, updated: ReadonlySet<string>): void {
  if (updated.has(name)) return;
  const near = nearest(name, updated);
  throw new FrugalError(
    "FRUGAL_NOT_FOUND",
    `${backend}: no program updates a weight "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`,
    { weight: name },
  );
}

export function expectLength(backend: string, name: string, numbers: Float32Array, length: number): void {
  if (numbers.length !== length)
    throw new FrugalError("FRUGAL_SHAPE", `${backend}: weight "${name}" holds ${length} numbers, got ${numbers.length}`, { weight: name });
}

/** Which weights become packed matrices and which plain numbers, and the sources the core packs them from. */
import { sourceName, type Value } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { storedBytes } from "../../tensor/format.ts";
import { size } from "../../tensor/shape.ts";
import type { RowRange, Weight, Weights } from "../backend.ts";
import { decodeWeights, findWeight, notFinite } from "../weights.ts";
import type { Addon, Handle } from "./addon.ts";
import type { WeightTable } from "./lowering.ts";

/** GGUF types that native/formats/packed.h packs; anything else is decoded and packed as F32. */
const packedTypes: ReadonlySet<number> = new Set([0, 1, 30, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 34, 35, 39]);
const floatTypes: ReadonlySet<number> = new Set([0, 1, 30]);
const f32 = 0;

export interface LoadingWeights extends WeightTable {
  /**
   * Begins to read and pack these, and coarse copies of some, on the core's threads, once each, and resolves as soon as they are at it; `filled` settles when they are done.
   * Everything else of loading may go on meanwhile. Bytes done and to do go to `onProgress`.
   */
  start(
    matrices: Iterable<Value>,
    coarse: Iterable<Value>,
    signal: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<{ readonly filled: Promise<void> }>;
  /** Gives the core the plain numbers of all that `vector` was asked for. */
  addVectors(signal: AbortSignal): Promise<void>;
}

interface MatrixWeight {
  readonly index: number;
  readonly type: number;
  readonly weight: Weight;
}

/** `isFew` as WeightTable has it. */
export function loadingWeights(addon: Addon, handle: Handle, weights: Weights, isFew: WeightTable["isFew"]): LoadingWeights {
  const matrices = new Map<string, MatrixWeight>();
  const copies = new Map<string, number>();
  const vectors = new Map<Value | string, number>();
  const vectorValues: Value[] = [];
  const register = (value: Value): void => {
    const name = sourceName(value);
    if (matrices.has(name)) return;
    const weight = findWeight(value, weights);
    const type = packedType(weight);
    const inputs = weight.shape[weight.shape.length - 1]!;
    const experts = weight.shape.length === 3 ? weight.shape[0]! : 1;
    const index = addon.addMatrix(handle, type, size(weight.shape) / inputs, inputs, experts);
    if (index < 0)
      throw new FrugalError(
        "FRUGAL_SHAPE",
        `weight "${name}": [${weight.shape.join(", ")}] can't be packed; its rows must be whole blocks of its format`,
        { weight: name },
      );
    matrices.set(name, { index, type, weight });
  };
  const copy = (value: Value): void => {
    const name = sourceName(value);
    if (copies.has(name)) return;
    const index = addon.addCoarse(handle, matrices.get(name)!.index);
    if (index < 0)
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `weight "${name}": [${value.shape.join(", ")}] can have no coarse copy; its rows must be whole blocks of 32 numbers`,
        { weight: name },
      );
    copies.set(name, index);
  };
  return {
    isFew,
    isMatrix: (name) => matrices.has(name),
    matrix(value) {
      const { index, type } = matrices.get(sourceName(value))!;
      return { index, quantized: !floatTypes.has(type) };
    },
    coarse: (value) => copies.get(sourceName(value))!,
    vector(value) {
      const key = value.op === "weight" ? sourceName(value) : value;
      let index = vectors.get(key);
      if (index === undefined) {
        index = vectorValues.push(value) - 1;
        vectors.set(key, index);
      }
      return index;
    },
    async start(values, coarse, signal, onProgress) {
      for (const value of values) register(value);
      for (const value of coarse) copy(value);
      const sources: Sources = { paths: [], buffers: [], numbers: [] };
      let total = 0;
      for (const [name, { index, type, weight }] of matrices) {
        // Weights of files are asked for without a turn of the event loop in between: the sooner the core's threads begin, the better.
        const added = fileSources(index, type, weight, sources);
        total += added ?? (await memorySources(index, name, type, weight, sources, signal));
      }
      const filled = fill(addon, handle, matrices, sources, total, signal, onProgress);
      filled.catch(() => undefined); // whoever awaits it may be busy when it fails
      return { filled };
    },
    async addVectors(signal) {
      const decoded = await decodeWeights(
        vectorValues.filter(({ op }) => op === "weight"),
        weights,
        { signal },
      );
      for (const value of vectorValues) addon.addVector(handle, value.data ?? decoded.get(sourceName(value))!);
    },
  };
}

async function fill(
  addon: Addon,
  handle: Handle,
  matrices: ReadonlyMap<string, MatrixWeight>,
  { paths, buffers, numbers }: Sources,
  total: number,
  signal: AbortSignal,
  onProgress?: (done: number, total: number) => void,
): Promise<void> {
  signal.throwIfAborted();
  const cancel = new Int32Array(1);
  const abort = (): void => void (cancel[0] = 1);
  signal.addEventListener("abort", abort, { once: true });
  const timer = onProgress && setInterval(() => onProgress(addon.progress(handle), total), 50);
  try {
    const problem = await addon.fill(handle, paths, Float64Array.from(numbers), buffers, cancel);
    signal.throwIfAborted();
    if (problem !== "") throw fillError(problem, total, matrices);
    onProgress?.(total, total);
  } finally {
    signal.removeEventListener("abort", abort);
    clearInterval(timer);
  }
}

/** The format all parts share, where the core packs it. */
function packedType(weight: Weight): number {
  if (!("rows" in weight.content)) return f32;
  const types = new Set(weight.content.rows.map(({ tensor }) => tensor.format.ggufType));
  const [type] = types;
  return types.size === 1 && packedTypes.has(type!) ? type! : f32;
}

interface Sources {
  readonly paths: string[];
  readonly buffers: Uint8Array[];
  /** Of `fill`: five a run of rows. */
  readonly numbers: number[];
}

/** Adds what fills one matrix where all of it lies in files as it is stored, and answers its stored bytes; else adds nothing. */
function fileSources(matrix: number, type: number, { shape, content }: Weight, into: Sources): number | undefined {
  if (!("rows" in content) || content.rows.some(({ tensor }) => tensor.format.ggufType !== type || tensor.source.path === undefined))
    return undefined;
  const width = shape[shape.length - 1]!;
  let bytes = 0;
  for (const range of content.rows) {
    const rowBytes = storedBytes(range.tensor.format, width);
    checkRange(range, width, rowBytes);
    const path = range.tensor.source.path!;
    let index = into.paths.indexOf(path);
    if (index < 0) index = into.paths.push(path) - 1;
    into.numbers.push(matrix, index, range.tensor.offset + range.first * rowBytes, range.count, 0);
    bytes += range.count * rowBytes;
  }
  return bytes;
}

/** Adds what fills one matrix by way of memory: computed or mixed weights, and sources that are no files. Resolves to its bytes. */
async function memorySources(
  matrix: number,
  name: string,
  type: number,
  weight: Weight,
  into: Sources,
  signal: AbortSignal,
): Promise<number> {
  const width = weight.shape[weight.shape.length - 1]!;
  const { content } = weight;
  const add = (bytes: Uint8Array, rows: number): number => {
    into.buffers.push(bytes);
    into.numbers.push(matrix, -into.buffers.length, 0, rows, 0);
    return bytes.byteLength;
  };
  if (!("rows" in content) || content.rows.some(({ tensor }) => tensor.format.ggufType !== type)) {
    const values = "rows" in content ? await decodeMixed(weight) : await content.values();
    if (values.length !== size(weight.shape))
      throw new FrugalError(
        "FRUGAL_SHAPE",
        `weight "${name}": [${weight.shape.join(", ")}] needs ${size(weight.shape)} numbers, got ${values.length}`,
      );
    return add(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), values.length / width);
  }
  let bytes = 0;
  for (const range of content.rows) {
    signal.throwIfAborted();
    const rowBytes = storedBytes(range.tensor.format, width);
    checkRange(range, width, rowBytes);
    bytes += add(await range.tensor.source.read(range.tensor.offset + range.first * rowBytes, range.count * rowBytes), range.count);
  }
  return bytes;
}

async function decodeMixed(weight: Weight): Promise<Float32Array> {
  const value: Value = { op: "weight", inputs: [], attributes: { name: "mixed" }, shape: weight.shape, type: "f32" };
  return (await decodeWeights([value], new Map([["mixed", weight]]), {})).get("mixed")!;
}

function checkRange({ tensor, first, count }: RowRange, width: number, rowBytes: number): void {
  if (
    Number.isInteger(rowBytes) &&
    first >= 0 &&
    (first + count) * rowBytes <= tensor.byteLength &&
    tensor.offset + tensor.byteLength <= tensor.source.byteLength
  )
    return;
  throw new FrugalError(
    "FRUGAL_SHAPE",
    `${tensor.name}: rows ${first} to ${first + count} of width ${width} are not in its ${tensor.byteLength} bytes of ${tensor.source.name}`,
    {
      tensor: tensor.name,
    },
  );
}

function fillError(problem: string, bytes: number, matrices: ReadonlyMap<string, MatrixWeight>): FrugalError {
  const [, matrix, row] = /^not finite (\d+) (\d+)$/.exec(problem) ?? [];
  const found = [...matrices].find(([, { index }]) => index === Number(matrix));
  if (found !== undefined) return notFinite(found[0], found[1].weight, Number(row));
  if (problem === "memory")
    return new FrugalError(
      "FRUGAL_OUT_OF_MEMORY",
      `native: no memory for ${bytes} bytes of weights; close other programs or use a smaller model`,
      { needed: bytes },
    );
  return new FrugalError("FRUGAL_BAD_FILE", `native: the weights can't be read (${problem}); is the file still there and whole?`);
}

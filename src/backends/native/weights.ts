/** Which weights become packed matrices and which plain numbers, and the sources the core packs them from. */
import { sourceName, type Value } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { storedBytes } from "../../tensor/format.ts";
import { size } from "../../tensor/shape.ts";
import type { RowRange, Weight, Weights } from "../backend.ts";
import { decodeWeights, findWeight } from "../weights.ts";
import type { Addon, Handle } from "./addon.ts";
import type { WeightTable } from "./lower.ts";

/** GGUF types that native/formats/packed.h packs; anything else is decoded and packed as F32. */
const packedTypes: ReadonlySet<number> = new Set([0, 1, 30, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 34, 35, 39]);
const floatTypes: ReadonlySet<number> = new Set([0, 1, 30]);
const f32 = 0;

export interface LoadingWeights extends WeightTable {
  /** Decodes, reads and packs all that was asked for; bytes done and to do go to `onProgress`. */
  fill(signal?: AbortSignal, onProgress?: (done: number, total: number) => void): Promise<void>;
}

export function loadingWeights(addon: Addon, handle: Handle, weights: Weights): LoadingWeights {
  const matrices = new Map<string, { readonly index: number; readonly type: number; readonly weight: Weight }>();
  const vectors = new Map<Value | string, number>();
  const vectorValues: Value[] = [];
  return {
    matrix(value) {
      const name = sourceName(value);
      let known = matrices.get(name);
      if (known === undefined) {
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
        known = { index, type, weight };
        matrices.set(name, known);
      }
      return { index: known.index, quantized: !floatTypes.has(known.type) };
    },
    vector(value) {
      const key = value.op === "weight" ? sourceName(value) : value;
      let index = vectors.get(key);
      if (index === undefined) {
        index = vectorValues.push(value) - 1;
        vectors.set(key, index);
      }
      return index;
    },
    async fill(signal, onProgress) {
      const decoded = await decodeWeights(
        vectorValues.filter(({ op }) => op === "weight"),
        weights,
        { signal },
      );
      for (const value of vectorValues) addon.addVector(handle, value.data ?? decoded.get(sourceName(value))!);
      const paths: string[] = [];
      const buffers: Uint8Array[] = [];
      const sources: number[] = [];
      let total = 0;
      for (const [name, { index, type, weight }] of matrices) {
        total += await addSources(index, name, type, weight, { paths, buffers, sources }, signal);
      }
      const cancel = new Int32Array(1);
      const abort = (): void => void (cancel[0] = 1);
      signal?.addEventListener("abort", abort, { once: true });
      const timer = onProgress && setInterval(() => onProgress(addon.progress(handle), total), 50);
      try {
        signal?.throwIfAborted();
        const problem = await addon.fill(handle, paths, Float64Array.from(sources), buffers, cancel);
        signal?.throwIfAborted();
        if (problem !== "") throw fillError(problem, total);
        onProgress?.(total, total);
      } finally {
        signal?.removeEventListener("abort", abort);
        clearInterval(timer);
      }
    },
  };
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
  readonly sources: number[];
}

/** Adds what fills one matrix; resolves to its stored bytes. */
async function addSources(
  matrix: number,
  name: string,
  type: number,
  weight: Weight,
  into: Sources,
  signal: AbortSignal | undefined,
): Promise<number> {
  const width = weight.shape[weight.shape.length - 1]!;
  const { content } = weight;
  if (!("rows" in content) || content.rows.some(({ tensor }) => tensor.format.ggufType !== type)) {
    const values = "rows" in content ? await decodeMixed(weight) : await content.values();
    if (values.length !== size(weight.shape))
      throw new FrugalError(
        "FRUGAL_SHAPE",
        `weight "${name}": [${weight.shape.join(", ")}] needs ${size(weight.shape)} numbers, got ${values.length}`,
      );
    into.buffers.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    into.sources.push(matrix, -into.buffers.length, 0, values.length / width, 0);
    return values.byteLength;
  }
  let bytes = 0;
  for (const range of content.rows) {
    const rowBytes = storedBytes(range.tensor.format, width);
    checkRange(range, width, rowBytes);
    const offset = range.tensor.offset + range.first * rowBytes;
    bytes += range.count * rowBytes;
    const { path } = range.tensor.source;
    if (path === undefined) {
      signal?.throwIfAborted();
      into.buffers.push(await range.tensor.source.read(offset, range.count * rowBytes));
      into.sources.push(matrix, -into.buffers.length, 0, range.count, 0);
    } else {
      let index = into.paths.indexOf(path);
      if (index < 0) index = into.paths.push(path) - 1;
      into.sources.push(matrix, index, offset, range.count, 0);
    }
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

function fillError(problem: string, bytes: number): FrugalError {
  if (problem === "memory")
    return new FrugalError(
      "FRUGAL_OUT_OF_MEMORY",
      `native: no memory for ${bytes} bytes of weights; close other programs or use a smaller model`,
      { needed: bytes },
    );
  return new FrugalError("FRUGAL_BAD_FILE", `native: the weights can't be read (${problem}); is the file still there and whole?`);
}

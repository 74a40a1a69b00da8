/** Which weights become packed matrices and which plain numbers, and the sources the core packs them from. */
import { sourceName, type Value } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { storedBytes } from "../../tensor/format.ts";
import { size } from "../../tensor/shape.ts";
import type { RowRange, Weight, Weights } from "../backend.ts";
import { decodeWeights, findWeight, notFinite } from "../weights.ts";
import type { Core, RowSource } from "./core.ts";
import type { WeightTable } from "./lowering.ts";

/** GGUF types that native/formats/packed.h packs; anything else is decoded and packed as F32. */
const packedTypes: ReadonlySet<number> = new Set([0, 1, 30, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 34, 35, 39]);
const floatTypes: ReadonlySet<number> = new Set([0, 1, 30]);
const f32 = 0;

export interface LoadingWeights extends WeightTable {
  /**
   * Begins to read and pack these, and coarse copies of some, on the core's threads, once each; settles when they are done. Everything else of
   * loading may go on meanwhile. Bytes done and to do go to `onProgress`.
   */
  start(
    matrices: Iterable<Value>,
    coarse: Iterable<Value>,
    signal: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<void>;
  /** Gives the core the plain numbers of all that `vector` was asked for. */
  addVectors(signal: AbortSignal): Promise<void>;
}

interface MatrixWeight {
  readonly index: number;
  readonly type: number;
  readonly weight: Weight;
}

/** `isFew` as WeightTable has it. */
export function loadingWeights(core: Core, weights: Weights, isFew: WeightTable["isFew"]): LoadingWeights {
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
    const index = core.addMatrix(type, size(weight.shape) / inputs, inputs, experts);
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
    const index = core.addCoarse(matrices.get(name)!.index);
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
    start(values, coarse, signal, onProgress) {
      for (const value of values) register(value);
      for (const value of coarse) copy(value);
      const sources = [...matrices].flatMap(([name, matrix]) => sourcesOf(name, matrix));
      const total = sources.reduce((bytes, { rows, rowBytes }) => bytes + rows * rowBytes, 0);
      const filled = fill(core, matrices, sources, total, signal, onProgress);
      filled.catch(() => undefined); // whoever awaits it may be busy when it fails
      return filled;
    },
    async addVectors(signal) {
      const decoded = await decodeWeights(
        vectorValues.filter(({ op }) => op === "weight"),
        weights,
        { signal },
      );
      for (const value of vectorValues) core.addVector(value.data ?? decoded.get(sourceName(value))!);
    },
  };
}

async function fill(
  core: Core,
  matrices: ReadonlyMap<string, MatrixWeight>,
  sources: readonly RowSource[],
  total: number,
  signal: AbortSignal,
  onProgress?: (done: number, total: number) => void,
): Promise<void> {
  const problem = await core.fill(sources, { signal, onProgress: onProgress && ((done) => onProgress(done, total)) });
  signal.throwIfAborted();
  if (problem !== "") throw fillError(core, problem, total, matrices);
  onProgress?.(total, total);
}

/** The format all parts share, where the core packs it. */
function packedType(weight: Weight): number {
  if (!("rows" in weight.content)) return f32;
  const types = new Set(weight.content.rows.map(({ tensor }) => tensor.format.ggufType));
  const [type] = types;
  return types.size === 1 && packedTypes.has(type!) ? type! : f32;
}

/** What fills one matrix: rows as they are stored, or numbers where they are computed or stored in several formats. */
function sourcesOf(name: string, { index, type, weight }: MatrixWeight): readonly RowSource[] {
  const { shape, content } = weight;
  const width = shape[shape.length - 1]!;
  if (!("rows" in content) || content.rows.some(({ tensor }) => tensor.format.ggufType !== type)) {
    const make = async (): Promise<Uint8Array> => {
      const values = "rows" in content ? await decodeMixed(weight) : await content.values();
      if (values.length !== size(shape))
        throw new FrugalError("FRUGAL_SHAPE", `weight "${name}": [${shape.join(", ")}] needs ${size(shape)} numbers, got ${values.length}`);
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    };
    return [{ matrix: index, rows: size(shape) / width, rowBytes: 4 * width, from: make }];
  }
  return content.rows.map((range) => {
    const { tensor, first, count } = range;
    const rowBytes = storedBytes(tensor.format, width);
    checkRange(range, width, rowBytes);
    return { matrix: index, rows: count, rowBytes, from: { source: tensor.source, offset: tensor.offset + first * rowBytes } };
  });
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

function fillError(core: Core, problem: string, bytes: number, matrices: ReadonlyMap<string, MatrixWeight>): FrugalError {
  const [, matrix, row] = /^not finite (\d+) (\d+)$/.exec(problem) ?? [];
  const found = [...matrices].find(([, { index }]) => index === Number(matrix));
  if (found !== undefined) return notFinite(found[0], found[1].weight, Number(row));
  if (problem === "memory")
    return new FrugalError(
      "FRUGAL_OUT_OF_MEMORY",
      `${core.name}: no memory for ${bytes} bytes of weights; close other programs or use a smaller model`,
      { needed: bytes, available: core.availableBytes },
    );
  return new FrugalError("FRUGAL_BAD_FILE", `${core.name}: the weights can't be read (${problem}); is the file still there and whole?`);
}

/**
 * What adapters of all kinds make of a linear, in one form: y = outputs ⊙ W (inputs ⊙ x) + B A x. LoRA, AdaLoRA and VeRA have B and A, IA3
 * has the vectors, DoRA has all but `inputs`. Serving adds it to a graph; merging makes one matrix of it.
 */
import { FrugalError } from "../../tensor/error.ts";
import { type Adapter, type Numbers, takeRows } from "./adapter.ts";

export interface LinearChange {
  /** A [rank, inputs] and B [outputs, rank], what scales them multiplied into B. */
  readonly lowRank?: LowRankNumbers | undefined;
  /** [outputs] */
  readonly outputs?: Float32Array | undefined;
  /** [inputs] */
  readonly inputs?: Float32Array | undefined;
  /** Of IA3: `outputs` multiplies the bias too. */
  readonly multipliesBias?: boolean | undefined;
}

interface LowRankNumbers {
  readonly a: Numbers;
  readonly b: Numbers;
}

/** The linears that the adapter changes. */
export const changedLinears = ({ weights }: Adapter): string[] => [
  ...new Set([...weights.keys()].flatMap((name) => (/^(?:vera|prompt|prefix)\./.test(name) ? [] : [name.slice(0, name.lastIndexOf("."))]))),
];

/** The change of one linear; `base` gives its weight [outputs, inputs], which DoRA reads: the norms of rows are part of the formula. */
export async function linearChange(
  adapter: Adapter,
  linear: string,
  [outputs, inputs]: readonly [number, number],
  base: () => Promise<Float32Array>,
): Promise<LinearChange> {
  const ia3 = adapter.weights.get(`${linear}.ia3`);
  if (ia3 !== undefined) {
    const isInput = adapter.feedForward?.has(linear) ?? false;
    expectLength(`${linear}.ia3`, ia3, isInput ? inputs : outputs);
    return isInput ? { inputs: ia3.values } : { outputs: ia3.values, multipliesBias: true };
  }
  const lowRank = lowRankOf(adapter, linear, outputs, inputs);
  const magnitude = adapter.weights.get(`${linear}.magnitude`);
  if (magnitude === undefined) return { lowRank };
  expectLength(`${linear}.magnitude`, magnitude, outputs);
  const numbers = await base();
  const factors = new Float32Array(outputs);
  const row = new Float32Array(inputs);
  for (let o = 0; o < outputs; o++) {
    row.set(numbers.subarray(o * inputs, (o + 1) * inputs));
    addProduct(row, lowRank, o);
    factors[o] = magnitude.values[o]! / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    if (!Number.isFinite(factors[o]!))
      throw new FrugalError("FRUGAL_NUMERIC", `adapter: row ${o} of ${linear} has no length that DoRA could change; the base is another`, {
        weight: linear,
      });
  }
  return { lowRank: { a: lowRank.a, b: scaledRows(lowRank.b, factors) }, outputs: factors };
}

/** Row `o` of the changed weight, in place of the base's. */
export function changeRow(row: Float32Array, o: number, { lowRank, outputs, inputs }: LinearChange): void {
  if (inputs !== undefined) for (let i = 0; i < row.length; i++) row[i]! *= inputs[i]!;
  if (outputs !== undefined) for (let i = 0; i < row.length; i++) row[i]! *= outputs[o]!;
  if (lowRank !== undefined) addProduct(row, lowRank, o);
}

/** Adds row `o` of B·A. */
function addProduct(row: Float32Array, { a, b }: LowRankNumbers, o: number): void {
  const rank = a.shape[0]!;
  for (let r = 0; r < rank; r++) {
    const factor = b.values[o * rank + r]!;
    if (factor === 0) continue;
    for (let i = 0; i < row.length; i++) row[i]! += factor * a.values[r * row.length + i]!;
  }
}

function lowRankOf({ weights, scales, sharedRows }: Adapter, linear: string, outputs: number, inputs: number): LowRankNumbers {
  const need = (name: string): Numbers => {
    const found = weights.get(name);
    if (found !== undefined) return found;
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `adapter: has no "${name}"; give all of its weights`, { weight: name });
  };
  if (weights.has(`${linear}.veraB`)) {
    const rows = sharedRows?.get(linear) ?? Int32Array.from({ length: outputs }, (_, o) => o);
    const b = scaledRows(takeRows(need("vera.B"), rows), need(`${linear}.veraB`).values);
    return { a: scaledRows(firstColumns(need("vera.A"), inputs), need(`${linear}.veraD`).values), b };
  }
  const [plain, b] = [need(`${linear}.loraA`), need(`${linear}.loraB`)];
  const rank = plain.shape[0]!;
  expectLength(`${linear}.loraA`, plain, rank * inputs);
  expectLength(`${linear}.loraB`, b, outputs * rank);
  const values = weights.get(`${linear}.loraE`);
  const scale = scales.get(linear) ?? 1;
  return {
    a: values === undefined ? plain : scaledRows(plain, values.values),
    b: { shape: b.shape, values: b.values.map((value) => value * scale) },
  };
}

function scaledRows({ shape, values }: Numbers, factors: Float32Array): Numbers {
  const width = shape[1]!;
  return { shape, values: values.map((value, i) => value * factors[Math.floor(i / width)]!) };
}

function firstColumns({ shape, values }: Numbers, count: number): Numbers {
  const [rows, width] = shape as readonly [number, number];
  if (count === width) return { shape, values };
  const taken = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) taken.set(values.subarray(row * width, row * width + count), row * count);
  return { shape: [rows, count], values: taken };
}

function expectLength(name: string, { values, shape }: Numbers, length: number): void {
  if (values.length === length) return;
  throw new FrugalError("FRUGAL_SHAPE", `adapter: "${name}" is [${shape.join(", ")}], but the model needs ${length} numbers`, {
    weight: name,
  });
}

/** A trained adapter in memory, by the names that the tuning techniques give their weights; files of any format are read into it. */
import type { PeftConfig } from "../../formats/peft-config.ts";
import { FrugalError } from "../../tensor/error.ts";
import { type Shape, size } from "../../tensor/shape.ts";
import { bytesSource } from "../../tensor/source.ts";
import { decodeTensor, type StoredTensor } from "../../tensor/stored.ts";

export interface Numbers {
  readonly shape: Shape;
  readonly values: Float32Array;
}

/** What a kind of adapter is called, and what counts beside its numbers: PEFT's record, without what follows from the weights. */
export type AdapterConfig = PeftConfig;

export interface Adapter {
  readonly config: AdapterConfig;
  /** `NAME.loraA`, `vera.B`, `NAME.ia3`, `prompt.embedding`, ... in the layout of the model's weights. */
  readonly weights: ReadonlyMap<string, Numbers>;
  /** By the name of a linear: what B·A is multiplied by. */
  readonly scales: ReadonlyMap<string, number>;
  /** Weights of the model that have other numbers: norms, biases, heads. */
  readonly replaced: ReadonlyMap<string, Numbers>;
  /** Of IA3: linears whose inputs are multiplied, not their results. */
  readonly feedForward?: ReadonlySet<string> | undefined;
  /** Of VeRA, by the name of a linear: the rows of `vera.B` that are its own; the first ones where absent. */
  readonly sharedRows?: ReadonlyMap<string, Int32Array> | undefined;
  /** Tensors that no weight of the model is filled from, such as a classifier that the base lacks, by the names of the file. */
  readonly further: ReadonlyMap<string, StoredTensor>;
}

/** Decoded; throws FRUGAL_NUMERIC where a number is not finite. */
export async function numbersOf(tensor: StoredTensor): Promise<Numbers> {
  const values = await decodeTensor(tensor);
  if (values.every(Number.isFinite)) return { shape: tensor.shape, values };
  throw new FrugalError(
    "FRUGAL_NUMERIC",
    `${tensor.source.name}: tensor "${tensor.name}" holds NaN or infinity; the training went wrong or the file is damaged, get another copy`,
    { tensor: tensor.name },
  );
}

/** The tensor with its bytes in memory, so that its file can be closed. */
export async function held(tensor: StoredTensor): Promise<StoredTensor> {
  const bytes = await tensor.source.read(tensor.offset, tensor.byteLength);
  return { ...tensor, source: bytesSource(tensor.source.name, bytes), offset: 0 };
}

export const zerosOf = (...shape: number[]): Numbers => ({ shape, values: new Float32Array(size(shape)) });

/** Rows `rows` of a matrix or vector, in this order. */
export function takeRows({ shape, values }: Numbers, rows: Int32Array): Numbers {
  const width = size(shape.slice(1));
  const taken = new Float32Array(rows.length * width);
  rows.forEach((row, i) => taken.set(values.subarray(row * width, (row + 1) * width), i * width));
  return { shape: [rows.length, ...shape.slice(1)], values: taken };
}

/** Puts rows where `takeRows` would take them from. */
export function putRowsInto(target: Numbers, { values }: Numbers, rows: Int32Array): void {
  const width = size(target.shape.slice(1));
  rows.forEach((row, i) => target.values.set(values.subarray(i * width, (i + 1) * width), row * width));
}

/** The numbering under way when a graph becomes steps: where each value is, and the steps so far. */
import type { Dims } from "../../graph/dim.ts";
import { elements, type Polynomial, scaled } from "../../graph/polynomial.ts";
import { sourceName, sourceOps, type Value } from "../../graph/value.ts";
import { allOps } from "../../ops/builder.ts";
import { type Kernel, type Operand, type Place, type Step } from "./words.ts";

/** What the weights of a model look like to the core. */
export interface WeightTable {
  /** Whether a weight of this name is packed. */
  isMatrix(name: string): boolean;
  /** Index of the packed matrix of a weight, and whether its products take quantised activations. */
  matrix(value: Value): { readonly index: number; readonly quantized: boolean };
  /** Index of the coarse copy of a packed matrix. */
  coarse(value: Value): number;
  /** Index of the plain numbers of a weight or constant. */
  vector(value: Value): number;
  /** Whether a buffer of this size is small beside what a machine has. */
  isFew(size: Polynomial): boolean;
}

export interface Lowered {
  readonly steps: readonly Step[];
  /** Sizes of the buffers in 4-byte elements, and the steps between which each is in use. */
  readonly buffers: readonly { readonly size: Polynomial; readonly from: number; readonly to: number }[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly (readonly [name: string, value: Value])[];
  /** Bytes of scratch that a thread needs. */
  readonly scratchBytes: number;
}

/** Values whose numbers are those of their input. */
export const isShared = (value: Value): boolean => allOps[value.op]?.sharesInput === true;

export class Lowering {
  readonly weights: WeightTable;
  readonly #steps: Step[] = [];
  readonly #sizes: Polynomial[] = [];
  readonly #places = new Map<Value, Place>();
  readonly #quantized = new Map<Value, Operand>();
  readonly #inputs: Value[] = [];
  readonly #outputIndex = new Map<Value, number>();
  #scratchBytes = 64;

  readonly #users = new Map<Value, Value[]>();

  constructor(weights: WeightTable, order: readonly Value[], outputs: readonly (readonly [string, Value])[]) {
    this.weights = weights;
    for (const value of order) for (const input of value.inputs) this.#users.set(input, [...(this.#users.get(input) ?? []), value]);
    outputs.forEach(([, value], i) => {
      if (!sourceOps.includes(value.op) && !isShared(value) && !this.#outputIndex.has(value)) this.#outputIndex.set(value, i);
    });
  }

  addInput(value: Value): void {
    this.#places.set(value, { space: "input", index: this.#inputs.length });
    this.#inputs.push(value);
  }

  isPlaced(value: Value): boolean {
    return this.#places.has(value);
  }

  /** Says where a value will be before anything asks. */
  place(value: Value, place: Place): void {
    this.#places.set(value, place);
  }

  /** An output that has no place of its own yet; undefined where the value is none. */
  outputOf(value: Value): number | undefined {
    return this.#outputIndex.get(value);
  }

  finishOutput(index: number, value: Value): void {
    if (this.#outputIndex.get(value) !== index)
      this.step("copy", [this.operand(value), { place: { space: "output", index }, shape: value.shape }]);
    this.checkOutput(index, value);
  }

  checkOutput(index: number, value: Value): void {
    if (value.type === "f32") this.step("check_finite", [{ place: { space: "output", index }, shape: value.shape }]);
  }

  /** Where a value is, or will be: its own buffer, or an output. */
  operand(value: Value): Operand {
    const known = this.#places.get(value);
    if (known) return { place: known, shape: value.shape };
    if (value.op === "weight" || value.op === "constant")
      return { place: { space: "vector", index: this.weights.vector(value) }, shape: value.shape };
    if (isShared(value)) return { place: this.operand(value.inputs[0]!).place, shape: value.shape };
    const output = this.#outputIndex.get(value);
    const place: Place =
      output === undefined ? { space: "arena", buffer: this.#sizes.push(elements(value.shape)) - 1 } : { space: "output", index: output };
    this.#places.set(value, place);
    return { place, shape: value.shape };
  }

  /** Whether a value outside the group reads this one. */
  isNeededBeside(value: Value, group: ReadonlySet<Value>): boolean {
    return (this.#users.get(value) ?? []).some((user) => !group.has(user));
  }

  /** Whether a value is a packed matrix. */
  isMatrix(value: Value): boolean {
    return value.op === "weight" && this.weights.isMatrix(sourceName(value));
  }

  /** Whether products with this value take quantised rows. */
  isInteger(value: Value): boolean {
    return this.isMatrix(value) && this.weights.matrix(value).quantized;
  }

  /** Whether so many numbers may be held at once, where a way with fewer would cost time. */
  isFew(size: Polynomial): boolean {
    return this.weights.isFew(size);
  }

  matrix(value: Value): { operand: Operand; quantized: boolean } {
    const { index, quantized } = this.weights.matrix(value);
    return { operand: { place: { space: "matrix", index }, shape: [] }, quantized };
  }

  /** The coarse copy of a packed matrix. */
  coarse(value: Value): Operand {
    return { place: { space: "matrix", index: this.weights.coarse(value) }, shape: [] };
  }

  /** A buffer that is no value's. */
  buffer(size: Polynomial, shape: Dims): Operand {
    return { place: { space: "arena", buffer: this.#sizes.push(size) - 1 }, shape };
  }

  step(kernel: Kernel, operands: readonly Operand[], integers: readonly number[] = [], numbers: readonly number[] = []): void {
    this.#steps.push({ kernel, operands, integers, numbers });
  }

  scratch(bytes: number): void {
    this.#scratchBytes = Math.max(this.#scratchBytes, bytes);
  }

  /** The rows of x as 8-bit codes with their scales and sums (native/kernels/activations.h); made once for all that read them. */
  quantized(x: Value): Operand {
    const known = this.#quantized.get(x);
    if (known) return known;
    const codes = this.buffer(scaled(elements(x.shape), 15 / 32), [x.shape[0]!, ((x.shape[1] as number) / 32) * 15]);
    this.step("quantize", [this.operand(x), codes]);
    this.#quantized.set(x, codes);
    return codes;
  }

  result(outputs: readonly (readonly [string, Value])[]): Lowered {
    const lives = this.#sizes.map((size) => ({ size, from: Infinity, to: -1 }));
    this.#steps.forEach(({ operands }, at) => {
      for (const { place } of operands) {
        if (place.space !== "arena") continue;
        const life = lives[place.buffer]!;
        life.from = Math.min(life.from, at);
        life.to = at;
      }
    });
    return { steps: this.#steps, buffers: lives, inputs: this.#inputs, outputs, scratchBytes: this.#scratchBytes };
  }
}

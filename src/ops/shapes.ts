/** Checks that shape functions share; every message names the op, what was found and what it takes. */
import { coefficientOf, type Dim, type Dims, plus, printDim, printDims, sameDim, sameDims, symbolNames, times } from "../graph/dim.ts";
import { ShapeError } from "./op.ts";

/** `what` is for people: "x", "weight". */
export function expectRank(op: string, what: string, dims: Dims, rank: number): void {
  if (dims.length !== rank)
    throw new ShapeError(`${op}: ${what} must have ${rank} dimension${rank === 1 ? "" : "s"}, got ${printDims(dims)}`);
}

export function expectDims(op: string, what: string, dims: Dims, wanted: Dims): void {
  if (!sameDims(dims, wanted)) throw new ShapeError(`${op}: ${what} must be ${printDims(wanted)}, got ${printDims(dims)}`);
}

export function expectDim(op: string, what: string, dim: Dim, wanted: Dim): void {
  if (!sameDim(dim, wanted)) throw new ShapeError(`${op}: ${what} must be ${printDim(wanted)}, got ${printDim(dim)}`);
}

export function expectAxis(op: string, axis: number, dims: Dims): void {
  if (!(axis in dims)) throw new ShapeError(`${op}: axis ${axis} is not an axis of ${printDims(dims)}; use 0 to ${dims.length - 1}`);
}

/** A size that may not depend on symbols. */
export function fixed(op: string, what: string, dim: Dim): number {
  if (typeof dim === "number") return dim;
  throw new ShapeError(`${op}: ${what} must be a fixed size, got ${printDim(dim)}`);
}

/** `dim / by`, which must be whole. */
export function divided(op: string, what: string, dim: Dim, by: number): number {
  const found = fixed(op, what, dim);
  if (by < 1 || found % by !== 0) throw new ShapeError(`${op}: ${what} must be a multiple of ${by}, got ${found}`);
  return found / by;
}

export const minus = (a: Dim, b: Dim): Dim => plus(a, times(b, -1));

/** Whether the size is 0 or more whatever the symbols are. */
export const neverNegative = (dim: Dim): boolean =>
  (typeof dim === "number" ? dim : dim.constant) >= 0 && symbolNames.every((s) => coefficientOf(dim, s) >= 0);

/** A size in an attribute, when a program runs: a number by then. */
export function known(dim: Dim): number {
  if (typeof dim === "number") return dim;
  throw new ShapeError(`ops: the size ${printDim(dim)} has no value before the symbols are known; evaluate it first`);
}

/** The one rule of broadcasting: each size equals the target's or is 1; or a vector matches the last axis. */
import { type Dims, printDims, sameDim, sameDims } from "../graph/dim.ts";
import type { Value } from "../graph/value.ts";
import { type Builder, ShapeError } from "./op.ts";

export function expectSpread(op: string, what: string, small: Dims, target: Dims): void {
  const vector = small.length === 1 && target.length > 1 && sameDim(small[0]!, target[target.length - 1]!);
  const fits = small.length === target.length && small.every((dim, axis) => dim === 1 || sameDim(dim, target[axis]!));
  if (!vector && !fits)
    throw new ShapeError(
      `${op}: ${what} ${printDims(small)} does not spread over ${printDims(target)}; each size must equal the other's or be 1, or ${what} be a vector of the last size`,
    );
}

/** The reverse: sums a value over the axes that `small` was spread over. */
export function sumTo(b: Builder, value: Value, small: Dims): Value {
  if (sameDims(value.shape, small)) return value;
  const missing = value.shape.length - small.length;
  let sum = value;
  value.shape.forEach((dim, axis) => {
    const kept = axis >= missing && sameDim(small[axis - missing]!, dim);
    if (!kept) sum = b.sum(sum, { axis });
  });
  return missing === 0 ? sum : b.reshape(sum, { shape: small });
}

/** A number as a value that spreads over a value of that rank. */
export const number = (b: Builder, value: number, rank: number): Value =>
  b.constant(
    Float32Array.of(value),
    Array.from({ length: rank }, () => 1),
  );

/** A value of that shape, filled with one number. */
export const filled = (b: Builder, value: number, shape: Dims): Value => b.broadcast(number(b, value, shape.length), { shape });

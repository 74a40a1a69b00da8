/** Walks dense tensors for the references. */
import { type Shape, size } from "../tensor/shape.ts";

/** The strided lines of a tensor along one axis, as index functions into its numbers. */
export function* linesAlong(shape: Shape, axis: number): Generator<(i: number) => number> {
  const length = shape[axis]!;
  const stride = size(shape.slice(axis + 1));
  const outerCount = size(shape.slice(0, axis));
  for (let outer = 0; outer < outerCount; outer++) {
    for (let inner = 0; inner < stride; inner++) {
      const start = outer * length * stride + inner;
      yield (i) => start + i * stride;
    }
  }
}

/** For each element of `shape` in order: the index of the element of `small` that is spread over it. */
export function spreadIndex(shape: Shape, small: Shape): (i: number) => number {
  const missing = shape.length - small.length;
  const strides = shape.map((_, axis) => (axis < missing || small[axis - missing] === 1 ? 0 : size(small.slice(axis - missing + 1))));
  return (i) => {
    let index = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index += (i % shape[axis]!) * strides[axis]!;
      i = Math.floor(i / shape[axis]!);
    }
    return index;
  };
}

export function largest(numbers: ArrayLike<number>): number {
  let found = -Infinity;
  for (let i = 0; i < numbers.length; i++) found = Math.max(found, numbers[i]!);
  return found;
}

/** The last dimension of an activation: known when the graph is built. */
import { printDims } from "../graph/dim.ts";
import type { Value } from "../graph/value.ts";
import { ShapeError } from "../ops/op.ts";

export function channels(x: Value): number {
  const last = x.shape.at(-1);
  if (typeof last !== "number")
    throw new ShapeError(`blocks: ${x.op} ${printDims(x.shape)} has no fixed number of channels; its last dimension must be a number`);
  return last;
}

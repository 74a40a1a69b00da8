/** What an op costs where each input is read once and the result written once, in 4-byte numbers. */
import { type Shape, size } from "../tensor/shape.ts";
import type { Cost } from "./op.ts";

export const costOf = (flops: number, ...moved: readonly Shape[]): Cost => ({
  flops,
  bytesMoved: 4 * moved.reduce((sum, shape) => sum + size(shape), 0),
});

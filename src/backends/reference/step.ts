/** One value computed from its inputs by the op's own reference. */
import { evaluateAttributes } from "../../graph/attributes.ts";
import { evaluate, type Symbols } from "../../graph/dim.ts";
import type { Value } from "../../graph/value.ts";
import { allOps } from "../../ops/builder.ts";
import type { CacheState } from "../../ops/cache.ts";
import type { Tensor } from "../../ops/op.ts";
import { type Shape, size } from "../../tensor/shape.ts";

export type Numbers = Tensor["data"];

/** The value's shape in this run. */
export const shapeOf = (value: Value, symbols: Symbols): Shape => value.shape.map((dim) => evaluate(dim, symbols));

/** `memory` says where the result goes: an array of that many numbers. */
export function compute(
  value: Value,
  inputs: readonly Tensor[],
  symbols: Symbols,
  memory: (length: number) => Numbers,
  cache?: CacheState,
): Tensor {
  const shape = shapeOf(value, symbols);
  const output = { shape, data: memory(size(shape)) };
  allOps[value.op]!.reference(inputs, output, evaluateAttributes(value.attributes, symbols), cache);
  return output;
}

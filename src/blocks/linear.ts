/** y = x·wᵀ + bias: the weight is called `name`, its bias `name.bias`. */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";
import { channels } from "./channels.ts";

export function linear(b: Builder, name: string, x: Value, outputs: number, bias = false): Value {
  const y = b.matmul(x, b.weight(name, [outputs, channels(x)]));
  return bias ? b.add(y, b.weight(`${name}.bias`, [outputs])) : y;
}

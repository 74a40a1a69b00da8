/** Normalisation of rows: root mean square with a weight, or mean and variance with weight and bias. */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";
import { channels } from "./channels.ts";

export interface NormSpec {
  readonly kind: "rms" | "layer";
  readonly epsilon: number;
}

/** Weight `name` [channels], and `name.bias` where the kind has one. */
export function norm(b: Builder, name: string, x: Value, spec: NormSpec): Value {
  const weight = b.weight(name, [channels(x)]);
  if (spec.kind === "rms") return b.rmsNorm(x, weight, { epsilon: spec.epsilon });
  return b.layerNorm(x, weight, b.weight(`${name}.bias`, [channels(x)]), { epsilon: spec.epsilon });
}

/** Normalisation of rows: root mean square with a weight, or mean and variance with weight and bias. */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";
import { channels } from "./channels.ts";

export interface NormSpec {
  readonly kind: "rms" | "layer";
  readonly epsilon: number;
  /** Layer norm without weight and bias. */
  readonly bare?: boolean;
}

/** Weight `name` [channels] unless bare, and `name.bias` where the kind has one. */
export function norm(b: Builder, name: string, x: Value, spec: NormSpec): Value {
  const width = channels(x);
  if (spec.bare) return b.layerNorm(x, full(b, width, 1), full(b, width, 0), { epsilon: spec.epsilon });
  const weight = b.weight(name, [width]);
  if (spec.kind === "rms") return b.rmsNorm(x, weight, { epsilon: spec.epsilon });
  return b.layerNorm(x, weight, b.weight(`${name}.bias`, [width]), { epsilon: spec.epsilon });
}

const full = (b: Builder, width: number, value: number): Value => b.constant(new Float32Array(width).fill(value), [width]);

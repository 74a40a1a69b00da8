/** The feed-forward part of a layer: gated (act(gate)·up) or plain, with or without biases. */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";
import { channels } from "./channels.ts";
import { linear } from "./linear.ts";

/** Activations as the ops name them. */
export type ActivationKind = "silu" | "gelu" | "geluTanh" | "relu" | "relu2" | "quickGelu" | "tanh" | "sigmoid" | "identity";

export interface MlpSpec {
  readonly hidden: number;
  readonly activation: ActivationKind;
  readonly gated: boolean;
  readonly bias?: boolean | undefined;
}

/** x [T, C] -> [T, C]; weights `name.gate` where gated, `name.up`, `name.down`. */
export function mlp(b: Builder, name: string, x: Value, spec: MlpSpec): Value {
  const kind = spec.activation;
  const part = (of: string): Value => linear(b, `${name}.${of}`, x, spec.hidden, spec.bias);
  const inner = spec.gated ? b.glu(part("gate"), part("up"), { kind }) : b.activation(part("up"), { kind });
  return linear(b, `${name}.down`, inner, channels(x), spec.bias);
}

/** A mixture of gated experts: a router sends each row to a few of them and adds up what they say by its weights. */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";
import { channels } from "./channels.ts";
import { linear } from "./linear.ts";
import type { ActivationKind } from "./mlp.ts";

export interface ExpertsSpec {
  readonly experts: number;
  /** Experts a row is sent to. */
  readonly active: number;
  /** Channels inside each expert. */
  readonly hidden: number;
  readonly activation: ActivationKind;
  /** Whether the weights of the chosen experts are scaled to sum to 1. */
  readonly normalize: boolean;
}

/** x [T, C] -> [T, C]; weights `name.router` [E, C], `name.gate` and `name.up` [E, hidden, C], `name.down` [E, C, hidden]. */
export function experts(b: Builder, name: string, x: Value, spec: ExpertsSpec): Value {
  const width = channels(x);
  const scores = linear(b, `${name}.router`, x, spec.experts);
  const ids = b.routeIds(scores, { count: spec.active });
  const weights = b.routeWeights(scores, ids, { normalize: spec.normalize });
  const each = (part: string, input: Value, outputs: number): Value =>
    b.expertMatmul(input, b.weight(`${name}.${part}`, [spec.experts, outputs, channels(input)]), ids);
  const inner = b.glu(each("gate", x, spec.hidden), each("up", x, spec.hidden), { kind: spec.activation });
  return b.combine(each("down", inner, width), weights);
}

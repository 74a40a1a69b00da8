/** Multi-head attention with grouped keys and values, and what families add to it: biases, norms of queries and keys, rotary positions. */
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";
import { channels } from "./channels.ts";
import type { Context } from "./context.ts";
import { linear } from "./linear.ts";

/** Rotary positions of a layer. The same record in many layers gives one value in the graph. */
export interface RopeSpec {
  /** Radians a position for each rotated pair: numbers, or the name of a weight that holds them. */
  readonly frequencies: Float32Array | { readonly weight: string; readonly count: number };
  /** half: channel i turns with i + rotated/2; interleaved: 2i with 2i + 1. */
  readonly style: "half" | "interleaved";
  readonly magnitude: number;
}

export interface AttentionSpec {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  /** What scores are multiplied by. */
  readonly scale: number;
  /** Rows see this many rows, themselves included; all without it. */
  readonly window?: number | undefined;
  /** cap·tanh(score / cap). */
  readonly softcap?: number | undefined;
  /** ALiBi. */
  readonly slopes?: readonly number[] | undefined;
  readonly rope?: RopeSpec | undefined;
  /** Norms of queries and keys before the rotation: each head alone, or all heads as one row. */
  readonly queryKeyNorm?: { readonly over: "head" | "row"; readonly epsilon: number } | undefined;
  /** Queries, keys and values are kept between -clip and clip. */
  readonly clip?: number | undefined;
  readonly inputBias?: boolean | undefined;
  readonly outputBias?: boolean | undefined;
  readonly causal?: boolean | undefined;
}

/** x [T, C] -> [T, C]; weights `name.query`, `name.key`, `name.value`, `name.output`. */
export function attention(b: Builder, context: Context, layer: number, name: string, x: Value, spec: AttentionSpec): Value {
  const { heads, keyValueHeads, headSize } = spec;
  const project = (part: string, count: number): Value => linear(b, `${name}.${part}`, x, count * headSize, spec.inputBias);
  const place = (part: string, count: number): Value => {
    const projected = project(part, count);
    const normed = spec.queryKeyNorm ? headNorm(b, `${name}.${part}Norm`, projected, count, spec.queryKeyNorm) : projected;
    const kept = clipped(b, normed, spec.clip);
    return spec.rope ? rotate(b, context, kept, headSize, spec.rope) : kept;
  };
  const mixed = context.attend(
    layer,
    place("query", heads),
    place("key", keyValueHeads),
    clipped(b, project("value", keyValueHeads), spec.clip),
    {
      heads,
      keyValueHeads,
      headSize,
      scale: spec.scale,
      causal: spec.causal ?? true,
      window: spec.window,
      softcap: spec.softcap,
      slopes: spec.slopes,
    },
  );
  return linear(b, `${name}.output`, mixed, channels(x), spec.outputBias);
}

function headNorm(
  b: Builder,
  name: string,
  x: Value,
  count: number,
  spec: { readonly over: "head" | "row"; readonly epsilon: number },
): Value {
  const groups = spec.over === "head" ? count : 1;
  return b.rmsNorm(x, b.weight(name, [channels(x) / groups]), { epsilon: spec.epsilon, groups });
}

function clipped(b: Builder, x: Value, clip: number | undefined): Value {
  if (clip === undefined) return x;
  const least = b.constant(Float32Array.of(-clip), [1, 1]);
  const turned = b.scale(b.maximum(x, least), { by: -1 });
  return b.scale(b.maximum(turned, least), { by: -1 });
}

function rotate(b: Builder, context: Context, x: Value, headSize: number, rope: RopeSpec): Value {
  const frequencies = context.once(rope, () => {
    const f = rope.frequencies;
    return f instanceof Float32Array ? b.constant(f, [f.length]) : b.weight(f.weight, [f.count]);
  });
  return b.rope(x, context.positions, frequencies, { headSize, style: rope.style, magnitude: rope.magnitude });
}

/** What a block asks to attend: the plain context sees the rows of the run alone; the cached one also keeps and sees rows of earlier runs. */
import { type Dim, type Dims, plus, symbol } from "../graph/dim.ts";
import type { Value } from "../graph/value.ts";
import type { Builder } from "../ops/op.ts";

export interface AttendOptions {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly scale: number;
  readonly causal: boolean;
  readonly window?: number | undefined;
  readonly softcap?: number | undefined;
  readonly slopes?: readonly number[] | undefined;
}

export interface Context {
  /** The place of each row in its sequence, i32 [T]. */
  readonly positions: Value;
  /** query [T, heads·size], key and value [T, keyValueHeads·size] of a layer -> [T, heads·size]. */
  attend(layer: number, query: Value, key: Value, value: Value, options: AttendOptions): Value;
  /** A value that many layers share, made when first asked for; the key is the record that describes it. */
  once(key: object, make: () => Value): Value;
}

/** Rows attend within their own sequence; differentiable. */
export function plainContext(b: Builder): Context {
  const rowOffsets = sequenceInput(b, "rowOffsets", [sequencesPlusOne]);
  return {
    positions: sequenceInput(b, "positions", [symbol("T")]),
    attend: (_layer, query, key, value, options) => b.attention(query, key, value, rowOffsets, options),
    once: remember(),
  };
}

/** Keys and values are written into pages, and rows attend over all pages of their sequence; always causal. */
export function cachedContext(b: Builder): Context {
  const positions = sequenceInput(b, "positions", [symbol("T")]);
  const rowOffsets = sequenceInput(b, "rowOffsets", [sequencesPlusOne]);
  const contextLengths = sequenceInput(b, "contextLengths", [symbol("S")]);
  const pageTable = sequenceInput(b, "pageTable", [symbol("S"), symbol("C")]);
  return {
    positions,
    attend: (layer, query, key, value, { causal: _, ...options }) =>
      b.cacheAttention(query, key, value, positions, rowOffsets, contextLengths, pageTable, { ...options, layer }),
    once: remember(),
  };
}

const sequencesPlusOne: Dim = plus(symbol("S"), 1);
const sequenceInput = (b: Builder, name: string, shape: Dims): Value => b.input(name, { shape, type: "i32" });

function remember(): Context["once"] {
  const known = new Map<object, Value>();
  return (key, make) => {
    const value = known.get(key) ?? make();
    known.set(key, value);
    return value;
  };
}

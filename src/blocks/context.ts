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

/**
 * Keys and values are written into pages, and rows attend over the pages of their sequence; always causal. Layers with a window have a page
 * table of their own where sequences of `contextLength` tokens leave at least half of them outside: their pages may then go to others.
 */
export function cachedContext(b: Builder, contextLength: number): Context {
  const positions = sequenceInput(b, "positions", [symbol("T")]);
  const rowOffsets = sequenceInput(b, "rowOffsets", [sequencesPlusOne]);
  const contextLengths = sequenceInput(b, "contextLengths", [symbol("S")]);
  const tables = new Map<string, Value>();
  const pageTable = (window: number | undefined): Value => {
    const name = pageTableName(window, contextLength);
    const table = tables.get(name) ?? sequenceInput(b, name, [symbol("S"), symbol("C")]);
    tables.set(name, table);
    return table;
  };
  return {
    positions,
    attend: (layer, query, key, value, { causal: _, ...options }) =>
      b.cacheAttention(query, key, value, positions, rowOffsets, contextLengths, pageTable(options.window), { ...options, layer }),
    once: remember(),
  };
}

const allTokens = "pageTable";

function pageTableName(window: number | undefined, contextLength: number): string {
  return window !== undefined && contextLength >= 2 * window ? `${allTokens}.${window}` : allTokens;
}

/** The tokens back that the layers of this page table see, where they don't see all. */
export function windowOf(pageTable: string): number | undefined {
  return pageTable.startsWith(`${allTokens}.`) ? Number(pageTable.slice(allTokens.length + 1)) : undefined;
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

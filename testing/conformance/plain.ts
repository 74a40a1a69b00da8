/** Runs graphs in double precision with the ops' own references: what every backend is compared with. */
import { compute, type Numbers, shapeOf } from "../../src/backends/reference/step.ts";
import type { Symbols } from "../../src/graph/dim.ts";
import { type Graph, inOrder, sourceName, type Value } from "../../src/graph/value.ts";
import { type CacheLayer, type CacheState, type KeptLayer, pageSize } from "../../src/ops/cache.ts";
import type { Tensor } from "../../src/ops/op.ts";

export const noSymbols: Symbols = { T: 0, S: 0, C: 0, R: 0 };

export interface PlainRun {
  /** By name of an input or weight; f32 numbers are taken as doubles. */
  readonly sources?: Readonly<Record<string, Numbers>>;
  readonly symbols?: Symbols;
  readonly cache?: CacheState;
}

export function runPlain(graph: Graph, { sources = {}, symbols = noSymbols, cache }: PlainRun): Record<string, Tensor> {
  const found = new Map<Value, Tensor>();
  for (const value of inOrder(graph.outputs.values())) {
    const memory = (length: number): Numbers => (value.type === "i32" ? new Int32Array(length) : new Float64Array(length));
    if (value.inputs.length > 0) {
      found.set(
        value,
        compute(
          value,
          value.inputs.map((input) => found.get(input)!),
          symbols,
          memory,
          cache,
        ),
      );
      continue;
    }
    const data = value.data ?? sources[sourceName(value)];
    if (data === undefined) throw new Error(`plain: no numbers for "${sourceName(value)}"`);
    found.set(value, { shape: shapeOf(value, symbols), data: value.type === "i32" ? data : Float64Array.from(data) });
  }
  return Object.fromEntries([...graph.outputs].map(([name, value]) => [name, found.get(value)!]));
}

/** A cache in double precision whose layers are made when first used. */
export function plainCache(pages: number): CacheState {
  const layers = new Map<number, KeptLayer>();
  return {
    layer(index, { heads, keySize, valueSize }: CacheLayer) {
      const rows = pages * pageSize * heads;
      const layer = layers.get(index) ?? { pages, keys: new Float64Array(rows * keySize), values: new Float64Array(rows * valueSize) };
      layers.set(index, layer);
      return layer;
    },
  };
}

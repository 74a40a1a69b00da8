/** The reference's cache: keys and values in f32, a row a token, all pages allocated at once. */
import { type CacheState, type CacheUse, type KeptLayer, pageSize } from "../../ops/cache.ts";
import type { CacheTable } from "../cache.ts";
import { allocate } from "../weights.ts";

export interface ReferenceCache {
  readonly state: CacheState;
  readonly bytes: number;
  /** What a page of all layers of a table holds, as views. */
  page(table: CacheTable, page: number): Float32Array[];
}

export function createCache(tables: readonly CacheTable[]): ReferenceCache {
  const layers = new Map<number, KeptLayer<Float32Array> & { readonly use: CacheUse }>();
  let bytes = 0;
  for (const { pages, layers: uses } of tables)
    for (const use of uses) {
      const rows = pages * pageSize * use.heads;
      const layer = { pages, use, keys: allocate("cache", rows * use.keySize), values: allocate("cache", rows * use.valueSize) };
      layers.set(use.index, layer);
      bytes += layer.keys.byteLength + layer.values.byteLength;
    }
  return {
    state: { layer: (index) => layers.get(index)! },
    bytes,
    page: (table, page) =>
      table.layers.flatMap(({ index, heads, keySize, valueSize }) => {
        const { keys, values } = layers.get(index)!;
        return [pageOf(keys, page, heads * keySize), pageOf(values, page, heads * valueSize)];
      }),
  };
}

const pageOf = (rows: Float32Array, page: number, width: number): Float32Array =>
  rows.subarray(page * pageSize * width, (page + 1) * pageSize * width);

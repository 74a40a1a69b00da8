/** What keys and values cost, by the graph's own account. */
import type { CacheFormat } from "../backends/backend.ts";
import { cacheStorage, cacheUses } from "../backends/cache.ts";
import { windowOf } from "../blocks/context.ts";
import type { Graph } from "../graph/value.ts";
import { formatByName } from "../tensor/formats/index.ts";

/** An input of a graph that says which pages a sequence has. */
export interface PageTableNeed {
  readonly name: string;
  /** The tokens back that its layers see: pages wholly before them need not be kept. Absent: all tokens. */
  readonly window: number | undefined;
  /** Bytes that its layers together keep of a token. */
  readonly bytesPerToken: number;
}

/** The page tables of a graph, each layer in one of them; none where the graph keeps nothing. */
export function pageTables(graph: Graph, format: CacheFormat): readonly PageTableNeed[] {
  const [keyBytes, valueBytes] = [bytesIn(cacheStorage[format].keys), bytesIn(cacheStorage[format].values)];
  const layers = new Map(cacheUses(graph).map((use) => [use.index, use]));
  const tables = new Map<string, number>();
  for (const { table, heads, keySize, valueSize } of layers.values())
    tables.set(table, (tables.get(table) ?? 0) + heads * (keyBytes(keySize) + valueBytes(valueSize)));
  return [...tables].map(([name, bytesPerToken]) => ({ name, window: windowOf(name), bytesPerToken }));
}

function bytesIn(format: string): (elements: number) => number {
  const { blockSize, blockBytes } = formatByName(format);
  return (elements) => Math.ceil(elements / blockSize) * blockBytes;
}

/** Bytes that all layers together keep of one token. */
export const cacheBytesPerToken = (graph: Graph, format: CacheFormat): number =>
  pageTables(graph, format).reduce((sum, { bytesPerToken }) => sum + bytesPerToken, 0);

/** What keys and values cost, by the graph's own account. */
import type { CacheFormat } from "../backends/backend.ts";
import { type Graph, inOrder } from "../graph/value.ts";
import { allOps } from "../ops/builder.ts";
import { formatByName } from "../tensor/formats/index.ts";

/** Bytes that all layers together keep of one token. */
export function cacheBytesPerToken(graph: Graph, format: CacheFormat): number {
  const { blockSize, blockBytes } = formatByName(format);
  const bytes = (elements: number): number => Math.ceil(elements / blockSize) * blockBytes;
  const layers = new Map<number, number>();
  for (const value of inOrder(graph.outputs.values())) {
    const use = allOps[value.op]?.keeps?.(
      value.inputs.map(({ shape }) => shape),
      value.attributes,
    );
    if (use !== undefined) layers.set(use.index, use.heads * (bytes(use.keySize) + bytes(use.valueSize)));
  }
  return [...layers.values()].reduce((sum, layer) => sum + layer, 0);
}

/** A page table that the graph takes, and what its layers keep. */
export interface PageTableNeed {
  readonly name: string;
  readonly window: number | undefined;
  readonly bytesPerToken: number;
}

export const pageTables = (graph: Graph, format: CacheFormat): readonly PageTableNeed[] => [
  { name: "pageTable", window: undefined, bytesPerToken: cacheBytesPerToken(graph, format) },
];

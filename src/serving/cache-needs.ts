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

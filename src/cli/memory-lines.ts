/** What memory a server holds, and how many texts of which length that is enough for. */
import type { ModelParts } from "../serving/load-parts.ts";
import { cacheBytesPerToken } from "../serving/cache-needs.ts";
import { printBytes } from "../tensor/byte-size.ts";

export function memoryLines(parts: Pick<ModelParts, "loaded" | "graph" | "cacheFormat" | "context" | "sequences">): string {
  const { weights, arena, cache } = parts.loaded.memory;
  const perToken = cacheBytesPerToken(parts.graph, parts.cacheFormat);
  const tokens = perToken === 0 ? 0 : Math.floor(cache / perToken);
  const lengths = [256, 1024, 4096, 16_384, 65_536].filter((length) => length < parts.context);
  const rows = [...lengths, parts.context].map((length) => [length, Math.min(parts.sequences, Math.max(1, Math.floor(tokens / length)))]);
  return [
    `memory: ${printBytes(weights + arena + cache)} = weights ${printBytes(weights)} + intermediate results ${printBytes(arena)} + keys and values ${printBytes(cache)}`,
    `        (${tokens} tokens of ${printBytes(perToken)} each); ${printBytes(process.availableMemory())} are still free`,
    `texts together, of ${rows.map(([length, texts]) => `${length} tokens: ${texts}`).join(", ")}`,
    "",
  ].join("\n");
}

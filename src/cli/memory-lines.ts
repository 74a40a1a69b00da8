/** What memory a server holds, and how many texts of which length that is enough for. */
import { pageSize } from "../ops/cache.ts";
import { pageTables } from "../serving/cache-needs.ts";
import type { ModelParts } from "../serving/load-parts.ts";
import { printBytes } from "../tensor/byte-size.ts";

type Loaded = Pick<ModelParts, "loaded" | "graph" | "cacheFormat" | "context" | "sequences" | "engine">;

/** `free`: bytes that the machine has left. */
export function memoryLines({ loaded, graph, cacheFormat, context, sequences, engine }: Loaded, free: number): string {
  const { weights, arena, cache } = loaded.memory;
  const pages = engine?.stats().pages ?? {};
  const tables = pageTables(graph, cacheFormat).map(({ name, window = Infinity, bytesPerToken }) => ({
    window,
    bytesPerToken,
    pages: pages[name]?.total ?? 0,
  }));
  const together = (length: number): number =>
    Math.min(
      sequences,
      ...tables.map(({ window, pages: total }) => Math.floor(total / Math.ceil(Math.min(length, window + pageSize) / pageSize))),
    );
  const lengths = [256, 1024, 4096, 16_384, 65_536].filter((length) => length < context);
  const perToken = tables.reduce((sum, { bytesPerToken }) => sum + bytesPerToken, 0);
  return [
    `memory: ${printBytes(weights + arena + cache)}, of ${printBytes(free)} that are left`,
    `  weights               ${printBytes(weights)}`,
    `  intermediate results  ${printBytes(arena)}`,
    `  keys and values       ${printBytes(cache)}, ${printBytes(perToken)} a token`,
    "tokens a text  texts together",
    ...[...lengths, context].map((length) => `${String(length).padStart(13)}  ${String(together(length)).padStart(14)}`),
    "",
  ].join("\n");
}

/** Layers by number, as options name them. */
import type { Graph } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import { parameterNames } from "./name-patterns.ts";

/** The number of the layer that a weight belongs to; undefined for those outside of layers. */
export function layerOf(name: string): number | undefined {
  const found = /^layers\.(\d+)\./.exec(name);
  return found === null ? undefined : Number(found[1]);
}

export const layerCount = (graph: Graph): number => Math.max(0, ...parameterNames(graph).map((name) => (layerOf(name) ?? -1) + 1));

/** The layers, negative ones counted from the last. Throws FRUGAL_BAD_ARGUMENT for one that the model does not have. */
export function checkLayers(layers: readonly number[], count: number, technique: string): ReadonlySet<number> {
  for (const layer of layers)
    if (!Number.isInteger(layer) || layer >= count || layer < -count)
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${technique}: there is no layer ${String(layer)}; the model has ${count}, from 0 to ${count - 1}, or from -1, the last, to ${-count}`,
        { option: "layers", layer: String(layer), count },
      );
  return new Set(layers.map((layer) => (layer < 0 ? count + layer : layer)));
}

/** Weights of layers by number: how growth finds in a small model what a larger one's layer begins from. */
import { type Graph, sourceName, valuesOf } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Shape } from "../../tensor/shape.ts";

/** The layer's number and the weight's name within it; undefined outside of layers. */
export function inLayer(name: string): { readonly layer: number; readonly part: string } | undefined {
  const found = /^layers\.(\d+)\.(.+)$/.exec(name);
  return found === null ? undefined : { layer: Number(found[1]), part: found[2]! };
}

/** Names and shapes of the weights of a graph; without tables of rotary frequencies, which are no parameters. */
export function weightShapes(graph: Graph): Map<string, Shape> {
  const weights = valuesOf(graph).filter(({ op }) => op === "weight");
  return new Map(weights.map((value) => [sourceName(value), value.shape as Shape] as const).filter(([name]) => !name.startsWith("rope.")));
}

export const layersIn = (names: Iterable<string>): number => Math.max(0, ...[...names].map((name) => (inLayer(name)?.layer ?? -1) + 1));

/** stack: 0 1 2 0 1 2, copies on top of the whole; interleave: 0 0 1 1 2 2, each beside its original. */
export type DepthOrder = "stack" | "interleave";

/** For each layer of the deeper model, the layer it begins from. Throws FRUGAL_BAD_ARGUMENT where it is not deeper. */
export function sourceLayers(from: number, to: number, order: DepthOrder, technique: string): number[] {
  if (from < 1 || to < from)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${technique}: ${from} layers cannot become ${to}; give a model with at least as many`, {
      from,
      to,
    });
  return Array.from({ length: to }, (_, i) => (order === "stack" ? i % from : Math.floor((i * from) / to)));
}

/** Throws FRUGAL_BAD_ARGUMENT where the small model has weights that the large one has no place for, such as a head of its own. */
export function expectPlaces(small: Iterable<string>, large: ReadonlySet<string>, technique: string): void {
  const parts = new Set([...large].map((name) => inLayer(name)?.part ?? name));
  for (const name of small)
    if (!name.startsWith("rope.") && !parts.has(inLayer(name)?.part ?? name))
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${technique}: the small model has "${name}", for which the large one has no place; take the same configuration but for its sizes`,
        { weight: name },
      );
}

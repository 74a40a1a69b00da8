/** Weights of slots: which a graph has, and what may be written into them while a model is loaded. */
import { type Graph, sourceName, type Value, valuesOf } from "../graph/value.ts";
import { allOps } from "../ops/builder.ts";
import { FrugalError, nearest } from "../tensor/error.ts";
import { type Shape, size } from "../tensor/shape.ts";

/** By name: the weights that some op of the graphs reads slot by slot. */
export function slotWeights(graphs: Iterable<Graph>): ReadonlyMap<string, Value> {
  const found = new Map<string, Value>();
  for (const graph of graphs)
    for (const { op, inputs } of valuesOf(graph))
      for (const index of allOps[op]?.slotInputs ?? []) {
        const input = inputs[index]!;
        if (input.op === "weight") found.set(sourceName(input), input);
      }
  return found;
}

/** Throws FRUGAL_NOT_FOUND for a weight without slots, FRUGAL_BAD_ARGUMENT for a slot that it has not, FRUGAL_SHAPE for too many numbers, FRUGAL_NUMERIC. */
export function expectSlot(
  backend: string,
  known: ReadonlyMap<string, Value>,
  slot: number,
  numbers: ReadonlyMap<string, Float32Array>,
): void {
  for (const [name, values] of numbers) {
    const weight = known.get(name);
    if (weight === undefined) {
      const near = nearest(name, known.keys());
      throw new FrugalError(
        "FRUGAL_NOT_FOUND",
        `${backend}: no program has a weight "${name}" with slots${near === undefined ? "" : `; did you mean "${near}"?`}`,
        { weight: name },
      );
    }
    const [slots, ...each] = weight.shape as Shape as readonly [number, ...number[]];
    if (!Number.isInteger(slot) || slot < 0 || slot >= slots)
      throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${backend}: weight "${name}" has slots 0 to ${slots - 1}, got ${slot}`, { slot });
    if (values.length > size(each))
      throw new FrugalError("FRUGAL_SHAPE", `${backend}: a slot of weight "${name}" holds ${size(each)} numbers, got ${values.length}`, {
        weight: name,
      });
    const wrong = values.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0)
      throw new FrugalError("FRUGAL_NUMERIC", `${backend}: what is written to weight "${name}" holds NaN or infinity; get another copy`, {
        weight: name,
      });
  }
}

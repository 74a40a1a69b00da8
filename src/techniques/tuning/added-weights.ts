/** What additive techniques do once they have rewritten the graph: the weights that are new in it get their first numbers and join what is trained. */
import type { Weight } from "../../backends/backend.ts";
import { type Graph, sourceName, valuesOf } from "../../graph/value.ts";
import { FrugalError } from "../../tensor/error.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { Trainable } from "../../training/trainable.ts";

/** First numbers of an added weight, in a new array at each call. */
export type Initial = (name: string, shape: Shape) => Float32Array | Promise<Float32Array>;

/**
 * The model with the rewritten graph. What was trained before stays trained: techniques are combined by applying one after the other to a
 * model that trains nothing. Throws FRUGAL_BAD_ARGUMENT where the technique, or one with weights of the same names, was applied before.
 */
export function withAdded(model: Trainable, graph: Graph, technique: string, initial: Initial): Trainable {
  const weights = new Map(model.weights);
  const trained = new Set(model.trained);
  for (const [name, shape] of addedTo(model.graph, graph, technique)) {
    weights.set(
      name,
      computed(shape, async () => initial(name, shape)),
    );
    trained.add(name);
  }
  return { ...model, graph, weights, trained };
}

/** Names and shapes of the weights that the rewritten graph has and the other has not. */
function addedTo(before: Graph, after: Graph, technique: string): Map<string, Shape> {
  const known = new Map(valuesOf(before).flatMap((value) => (value.op === "weight" ? [[sourceName(value), value] as const] : [])));
  const added = new Map<string, Shape>();
  for (const value of valuesOf(after)) {
    if (value.op !== "weight" || known.get(sourceName(value)) === value) continue;
    const name = sourceName(value);
    if (known.has(name) || added.has(name))
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `${technique}: the model has a weight "${name}" already; apply the technique once, to a model without it`,
        { weight: name },
      );
    added.set(name, value.shape as Shape);
  }
  return added;
}

const computed = (shape: Shape, values: () => Promise<Float32Array>): Weight => ({ shape, content: { values } });

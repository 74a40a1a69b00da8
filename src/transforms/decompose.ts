/** Replaces fused ops by what they are made of. */
import { rewrite } from "../graph/rewrite.ts";
import { type Graph, type Value, valuesOf } from "../graph/value.ts";
import { allOps, createBuilder } from "../ops/builder.ts";

/** `which` chooses among the fused ops; all of them where it is left out. */
export function decompose(graph: Graph, which: (value: Value) => boolean = () => true): Graph {
  const b = createBuilder();
  const fused = (value: Value): boolean => allOps[value.op]?.decompose !== undefined && which(value);
  let result = graph;
  // A decomposition may hold fused ops in turn.
  while (valuesOf(result).some(fused))
    result = rewrite(result, (value) =>
      fused(value) ? allOps[value.op]!.decompose!({ b, x: value.inputs, attributes: value.attributes }) : value,
    );
  return result;
}

/** Builds a graph anew with some values replaced. */
import { type Graph, type Value, valuesOf } from "./value.ts";

/**
 * Calls `replace` with each value, inputs before users, its inputs replaced already, and with the value as it was in the graph; puts what
 * it returns in the value's place. What nobody needs any more is gone.
 */
export function rewrite(graph: Graph, replace: (value: Value, original: Value) => Value): Graph {
  const replaced = new Map<Value, Value>();
  for (const value of valuesOf(graph)) {
    const inputs = value.inputs.map((input) => replaced.get(input)!);
    const same = inputs.every((input, i) => input === value.inputs[i]);
    replaced.set(value, replace(same ? value : { ...value, inputs }, value));
  }
  const renewed = (named: ReadonlyMap<string, Value>): Map<string, Value> =>
    new Map([...named].map(([name, value]) => [name, replaced.get(value)!]));
  return {
    outputs: renewed(graph.outputs),
    ...(graph.updates === undefined ? {} : { updates: renewed(graph.updates) }),
    ...(graph.order === undefined ? {} : { order: graph.order.flatMap((value) => replaced.get(value) ?? []) }),
  };
}

/** Builds a graph anew with some values replaced. */
import { type Graph, inOrder, type Value } from "./value.ts";

/**
 * Calls `replace` with each value, inputs before users, its inputs replaced already, and puts what it returns in the value's place.
 * What nobody needs any more is gone.
 */
export function rewrite(graph: Graph, replace: (value: Value) => Value): Graph {
  const replaced = new Map<Value, Value>();
  for (const value of inOrder(graph.outputs.values())) {
    const inputs = value.inputs.map((input) => replaced.get(input)!);
    const same = inputs.every((input, i) => input === value.inputs[i]);
    replaced.set(value, replace(same ? value : { ...value, inputs }));
  }
  return { outputs: new Map([...graph.outputs].map(([name, value]) => [name, replaced.get(value)!])) };
}

/** A graph as text, one value a line: for people, diffs and tests. */
import { printDims } from "./dim.ts";
import { type Graph, inOrder, type Value } from "./value.ts";

export function printGraph(graph: Graph): string {
  const order = inOrder(graph.outputs.values());
  const name = new Map<Value, string>(order.map((value, i) => [value, `%${i}`]));
  const lines = order.map((value) => {
    const attributes = Object.entries(value.attributes)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => `${k}=${Array.isArray(v) ? `[${v.length > 6 ? `${v.slice(0, 6).join()},..` : v.join()}]` : String(v)}`);
    const inputs = value.inputs.map((input) => name.get(input)!);
    return `${name.get(value)!} ${value.type}${printDims(value.shape)} = ${value.op}(${[...inputs, ...attributes].join(", ")})`;
  });
  return [...lines, ...[...graph.outputs].map(([output, value]) => `${output} <- ${name.get(value)!}`)].join("\n");
}

/** A graph as text, one value a line: for people, diffs and tests. */
import { type Dim, type Dims, printDim, printDims } from "./dim.ts";
import { type Attribute, type Graph, inOrder, type Value } from "./value.ts";

function printAttribute(attribute: Attribute): string {
  if (Array.isArray(attribute)) {
    const dims = attribute as Dims;
    return dims.length > 6 ? `[${dims.slice(0, 6).map(printDim).join()},..]` : `[${dims.map(printDim).join()}]`;
  }
  return typeof attribute === "object" ? printDim(attribute as Dim) : String(attribute);
}

export function printGraph(graph: Graph): string {
  const order = inOrder(graph.outputs.values());
  const name = new Map<Value, string>(order.map((value, i) => [value, `%${i}`]));
  const lines = order.map((value) => {
    const attributes = Object.entries(value.attributes)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => `${k}=${printAttribute(v)}`);
    const inputs = value.inputs.map((input) => name.get(input)!);
    return `${name.get(value)!} ${value.type}${printDims(value.shape)} = ${value.op}(${[...inputs, ...attributes].join(", ")})`;
  });
  return [...lines, ...[...graph.outputs].map(([output, value]) => `${output} <- ${name.get(value)!}`)].join("\n");
}

/** A graph as text, one value a line: for people, diffs and tests. */
import { type Dim, type Dims, printDim, printDims } from "./dim.ts";
import { type Attribute, type Graph, type Value, valuesOf } from "./value.ts";

function printAttribute(attribute: Attribute): string {
  if (Array.isArray(attribute)) {
    const dims = attribute as Dims;
    return dims.length > 6 ? `[${dims.slice(0, 6).map(printDim).join()},..]` : `[${dims.map(printDim).join()}]`;
  }
  return typeof attribute === "object" ? printDim(attribute as Dim) : String(attribute);
}

/** `%2 f32[T, 4] = scale(%1, by=2)` */
export function printValue(value: Value, name: (value: Value) => string): string {
  const attributes = Object.entries(value.attributes)
    .filter(([, v]) => v !== undefined)
    .map(([k, v]) => `${k}=${printAttribute(v)}`);
  return `${name(value)} ${value.type}${printDims(value.shape)} = ${value.op}(${[...value.inputs.map(name), ...attributes].join(", ")})`;
}

export function printGraph(graph: Graph): string {
  const order = valuesOf(graph);
  const names = new Map<Value, string>(order.map((value, i) => [value, `%${i}`]));
  const name = (value: Value): string => names.get(value)!;
  const lines = order.map((value) => printValue(value, name));
  const named = [...graph.outputs, ...[...(graph.updates ?? [])].map(([weight, value]) => [`"${weight}"`, value] as const)];
  return [...lines, ...named.map(([output, value]) => `${output} <- ${name(value)}`)].join("\n");
}

/** A value is one node of the graph: an op applied to values, or a source. Values are never changed. */
import type { Dim, Dims } from "./dim.ts";

export type ElementType = "f32" | "i32";

/** Numbers, texts, lists of numbers, and sizes: printable, comparable, and the same after JSON. */
export type Attribute = Dim | string | boolean | Dims | undefined;
export type Attributes = Readonly<Record<string, Attribute>>;

/**
 * Sources are values without inputs whose `op` is one of these, with `attributes.name`:
 * `input` filled in at each run, `weight` filled in when the model is loaded, `constant` with its numbers in `data` (named by its contents).
 */
export const sourceOps: readonly string[] = ["input", "weight", "constant"];

export interface Value {
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly attributes: Attributes;
  readonly shape: Dims;
  readonly type: ElementType;
  /** Of a `constant`. */
  readonly data?: Float32Array | Int32Array;
}

/** The name of a source. */
export const sourceName = (value: Value): string => String(value.attributes["name"]);

/** Named results and new numbers of weights; everything else hangs on them. */
export interface Graph {
  readonly outputs: ReadonlyMap<string, Value>;
  /** By the name of a weight: what it holds after a run. Whatever reads the weight in that run sees the numbers from before. */
  readonly updates?: ReadonlyMap<string, Value>;
  /** The order to compute values in, inputs before users, where memory depends on it; may list values that nobody needs. */
  readonly order?: readonly Value[];
}

/** What a graph is for: its outputs and updates. */
export const results = (graph: Graph): Value[] => [...graph.outputs.values(), ...(graph.updates?.values() ?? [])];

/** Every value that a graph needs, inputs before users, each once, in the graph's own order where it has one. */
export function valuesOf(graph: Graph): Value[] {
  if (graph.order === undefined) return inOrder(results(graph));
  const needed = new Set(inOrder(results(graph)));
  const ordered = graph.order.filter((value) => needed.has(value));
  // Sources and whatever a transform added since stand where they are first needed.
  const seen = new Set<Value>();
  return [...ordered, ...results(graph)].flatMap((value) => {
    if (seen.has(value)) return [];
    const missing = inOrder([value], seen);
    for (const each of missing) seen.add(each);
    return missing;
  });
}

/** Every value that the outputs need, inputs before users, each once; without the `known` ones and what only they need. */
export function inOrder(outputs: Iterable<Value>, known: Iterable<Value> = []): Value[] {
  const order: Value[] = [];
  const seen = new Set<Value>(known);
  // An explicit stack: graphs of training are deeper than the call stack allows.
  for (const output of outputs) {
    const stack: { value: Value; next: number }[] = [{ value: output, next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const input = top.value.inputs[top.next++];
      if (top.next === 1 && seen.has(top.value)) stack.pop();
      else if (input === undefined) {
        if (!seen.has(top.value)) order.push(top.value);
        seen.add(top.value);
        stack.pop();
      } else if (!seen.has(input)) stack.push({ value: input, next: 0 });
    }
  }
  return order;
}

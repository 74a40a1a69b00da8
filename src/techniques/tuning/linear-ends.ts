/** Where the result of a linear is whole: after its bias and after what other techniques add to it. */
import { type Graph, inOrder, sourceName, type Value, valuesOf } from "../../graph/value.ts";

export interface LinearEnd {
  /** Of the weight. */
  readonly name: string;
  /** What the linear reads. */
  readonly x: Value;
  readonly end: Value;
}

/**
 * The places where a value reads the named weights as its second input: products, and those with the weights of experts. From there the end
 * goes on to each value that combines it with weights called like the linear's own, "NAME.bias".
 */
export function linearEnds(graph: Graph, names: ReadonlySet<string>): LinearEnd[] {
  const order = valuesOf(graph);
  const users = usersOf(order);
  return order.flatMap((value) => {
    const weight = value.inputs[1];
    if (weight?.op !== "weight" || !names.has(sourceName(weight))) return [];
    const name = sourceName(weight);
    const x = value.inputs[0]!;
    let end = value;
    for (;;) {
      const next = users.get(end)?.find(({ inputs }) => inputs.length === 2 && inputs[0] === end && readsOwn(inputs[1]!, name, x));
      if (next === undefined) return [{ name, x, end }];
      end = next;
    }
  });
}

export function usersOf(order: readonly Value[]): ReadonlyMap<Value, readonly Value[]> {
  const users = new Map<Value, Value[]>();
  for (const value of order)
    for (const input of value.inputs) {
      const known = users.get(input);
      if (known === undefined) users.set(input, [value]);
      else known.push(value);
    }
  return users;
}

const readsOwn = (value: Value, name: string, x: Value): boolean =>
  inOrder([value], [x]).some((each) => each.op === "weight" && sourceName(each).startsWith(`${name}.`));

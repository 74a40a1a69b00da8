/** Dictionaries with whole numbers for keys, which Jinja has and the library has not: one budget table of a published template needs them. */
import { Environment, type Interpreter } from "@huggingface/jinja";

type Method = Interpreter["evaluate"];
type Node = NonNullable<Parameters<Method>[0]>;
type Value = ReturnType<Method>;
export type Evaluate = (statement: Node | undefined, environment: Environment) => Value;

interface Shaped {
  readonly type: string;
  readonly value: unknown;
  readonly object?: Node;
  readonly property?: Shaped;
  readonly operand?: Node;
  readonly filter?: Shaped;
  readonly computed?: boolean;
}

const isInteger = (node: Shaped | undefined): boolean => node?.type === "IntegerLiteral";
const asString = (node: Shaped): Shaped => ({ type: "StringLiteral", value: String(node.value) });

/** Keys are kept as strings; `{1: x}`, `table[1]` and `dictsort` see numbers. */
export function withIntegerKeys(evaluate: Evaluate): Evaluate {
  const tables = new WeakSet<object>();
  const number = (value: number): Value => new Environment().set("number", value);
  return (statement, environment) => {
    const node = statement as unknown as Shaped | undefined;
    if (node?.type === "ObjectLiteral") {
      const entries = [...(node.value as Map<Shaped, Shaped>)];
      if (entries.length === 0 || !entries.every(([key]) => isInteger(key))) return evaluate(statement, environment);
      const respelled = { ...node, value: new Map(entries.map(([key, value]) => [asString(key), value])) };
      const table = evaluate(respelled as unknown as Node, environment);
      tables.add(table.value as object);
      return table;
    }
    if (node?.type === "MemberExpression" && node.computed === true && isInteger(node.property)) {
      const object = evaluate(node.object, environment);
      if (object.type === "ObjectValue" && tables.has(object.value as object))
        return evaluate({ ...node, property: asString(node.property!) } as unknown as Node, environment);
    }
    if (node?.type === "FilterExpression" && node.filter?.value === "dictsort") {
      const object = evaluate(node.operand, environment);
      const sorted = evaluate(statement, environment);
      if (object.type !== "ObjectValue" || !tables.has(object.value as object)) return sorted;
      const pairs = sorted.value as { value: Value[] }[];
      for (const pair of pairs) pair.value[0] = number(Number(pair.value[0]!.value));
      pairs.sort((a, b) => Number(a.value[0]!.value) - Number(b.value[0]!.value));
      return sorted;
    }
    return evaluate(statement, environment);
  };
}

/** The rules every graph keeps, checked when it is made and again after each transform. A fault is ours, so the error prints the value's line. */
import { FrugalError } from "../tensor/error.ts";
import { type Dims, printDims, sameDims } from "./dim.ts";
import { printValue } from "./print.ts";
import { infer, type OpRule } from "./rule.ts";
import { type Graph, results, sourceName, sourceOps, type Value, valuesOf } from "./value.ts";

/** Throws FRUGAL_INTERNAL where a value breaks a rule; `ops` are the rules of every op by name. */
export function verifyGraph(graph: Graph, ops: Readonly<Record<string, OpRule>>): void {
  expectNoCycle(graph);
  const order = valuesOf(graph);
  const numbers = new Map<Value, number>(order.map((value, i) => [value, i]));
  const fail = (value: Value, problem: string, cause?: unknown): never => {
    const line = printValue(value, (v) => `%${numbers.get(v)!}`);
    throw new FrugalError("FRUGAL_INTERNAL", `graph: ${problem} in "${line}"; the transform before is wrong`, { line }, { cause });
  };
  const sources = new Map<string, Value>();
  for (const value of order) {
    if (sourceOps.includes(value.op)) {
      const problem = sourceProblem(value, sources);
      if (problem !== undefined) fail(value, problem);
      continue;
    }
    const rule = Object.hasOwn(ops, value.op) ? ops[value.op] : undefined;
    if (rule === undefined) fail(value, `unknown op "${value.op}"`);
    else if (value.data !== undefined) fail(value, "only constants hold numbers, found some");
    else {
      let inferred: { shape: Dims; type: string };
      try {
        inferred = infer(rule, value.inputs, value.attributes);
      } catch (error) {
        return fail(value, error instanceof Error ? error.message : String(error), error);
      }
      if (inferred.type !== value.type || !sameDims(inferred.shape, value.shape))
        fail(value, `the inputs give ${inferred.type}${printDims(inferred.shape)}`);
    }
  }
  for (const [name, value] of graph.updates ?? []) {
    const problem = updateProblem(name, value, sources);
    if (problem !== undefined) fail(value, problem);
  }
}

/** An update goes to a weight of its own shape; a weight that only the update names must still be given when the model is loaded. */
function updateProblem(name: string, value: Value, sources: ReadonlyMap<string, Value>): string | undefined {
  const weight = sources.get(name);
  if (value.type !== "f32") return `the update of "${name}" is no f32 value`;
  if (weight === undefined) return undefined;
  return weight.op === "weight" && sameDims(weight.shape, value.shape) ? undefined : `the update of "${name}" does not have its shape`;
}

function sourceProblem(value: Value, sources: Map<string, Value>): string | undefined {
  if (value.inputs.length > 0) return "a source has no inputs";
  if (Object.keys(value.attributes).join() !== "name" || typeof value.attributes["name"] !== "string")
    return "a source has a name and nothing else";
  if (value.op === "input") return value.data === undefined ? nameProblem(value, sources) : "only constants hold numbers, found some";
  const size = value.shape.reduce<number>((product, dim) => product * (typeof dim === "number" ? dim : Number.NaN), 1);
  if (Number.isNaN(size)) return `a ${value.op} has a fixed shape`;
  if (value.op === "weight") return value.data === undefined ? nameProblem(value, sources) : "only constants hold numbers, found some";
  if (value.data?.length !== size) return `a constant of this shape holds ${size} numbers, found ${value.data?.length ?? "none"}`;
  return value.data instanceof Int32Array === (value.type === "i32") ? undefined : "the numbers are of the other type";
}

function nameProblem(value: Value, sources: Map<string, Value>): string | undefined {
  const name = sourceName(value);
  if (sources.has(name)) return `two sources are named "${name}"`;
  sources.set(name, value);
  return undefined;
}

/** Values cannot be changed, so a cycle takes some doing; but walking one would never end. */
function expectNoCycle(graph: Graph): void {
  const done = new Set<Value>();
  const open = new Set<Value>();
  for (const output of results(graph)) {
    const stack = [output];
    while (stack.length > 0) {
      const value = stack[stack.length - 1]!;
      if (done.has(value) || open.has(value)) {
        open.delete(value);
        done.add(value);
        stack.pop();
        continue;
      }
      open.add(value);
      for (const input of value.inputs) {
        if (open.has(input))
          throw new FrugalError(
            "FRUGAL_INTERNAL",
            `graph: "${value.op}" needs its own result through "${input.op}"; the transform before is wrong`,
          );
        if (!done.has(input)) stack.push(input);
      }
    }
  }
}

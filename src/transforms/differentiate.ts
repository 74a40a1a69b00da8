/** Reverse-mode differentiation: from a value, the graph of its gradients. */
import { printDims, sameDims } from "../graph/dim.ts";
import { inOrder, type Value } from "../graph/value.ts";
import { allOps, createBuilder } from "../ops/builder.ts";
import { type Builder, ShapeError } from "../ops/op.ts";
import { filled } from "../ops/spread.ts";
import { FrugalError } from "../tensor/error.ts";

/**
 * The gradients of the sum of `loss` with respect to each of `wrt`, in their shapes; zeros where the loss does not depend on one.
 * With a `seed`, a value of the loss's shape, those of the sum of seed · loss. Fused ops whose gradient is their decomposition's
 * compute its intermediate values again, so that only their inputs need to be kept.
 * Throws FRUGAL_UNSUPPORTED where an op on the way has no gradient yet.
 * @example
 * const b = createBuilder();
 * const w = b.weight("w", [4, 4]);
 * const x = b.input("x", { shape: [2, 4], type: "f32" });
 * const [dw] = differentiate(b.matmul(x, w), [w]);
 */
export function differentiate(loss: Value, wrt: readonly Value[], seed?: Value): Value[] {
  const b = createBuilder();
  if (seed !== undefined && !sameDims(seed.shape, loss.shape))
    throw new ShapeError(`differentiate: the seed must have the loss's shape ${printDims(loss.shape)}, got ${printDims(seed.shape)}`);
  const integer = wrt.find(({ type }) => type !== "f32");
  if (integer !== undefined) throw new ShapeError(`differentiate: only f32 values have gradients, got ${integer.type} from ${integer.op}`);
  const gradients = reverse(b, loss, new Set(wrt), [], seed ?? filled(b, 1, loss.shape));
  return wrt.map((value) => gradients.get(value) ?? filled(b, 0, value.shape));
}

/** Walks back from `output` and stops at `known`, whose values count as independent of each other. */
function reverse(b: Builder, output: Value, wrt: ReadonlySet<Value>, known: Iterable<Value>, seed: Value): Map<Value, Value> {
  const order = inOrder([output], known);
  const depends = new Set<Value>(wrt);
  for (const value of order) if (value.inputs.some((input) => depends.has(input))) depends.add(value);

  const gradients = new Map<Value, Value>([[output, seed]]);
  const accumulate = (value: Value, gradient: Value): void => {
    const before = gradients.get(value);
    gradients.set(value, before === undefined ? gradient : b.add(before, gradient));
  };
  for (const value of order.reverse()) {
    const dy = gradients.get(value);
    if (dy === undefined || !value.inputs.some((input) => depends.has(input))) continue;
    for (const [input, gradient] of inputGradients(b, value, dy, depends)) accumulate(input, gradient);
    // Nobody asks for it again, and a long graph has many.
    if (!wrt.has(value)) gradients.delete(value);
  }
  return gradients;
}

function inputGradients(b: Builder, value: Value, dy: Value, depends: ReadonlySet<Value>): (readonly [Value, Value])[] {
  const op = allOps[value.op]!;
  const { inputs, attributes } = value;
  if (op.gradient === "none") return [];
  if (op.gradient === "unsupported")
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${value.op}: cannot be differentiated; use a graph without it, such as the program without a cache`,
    );
  if (op.gradient === "decomposition") {
    const parts = op.decompose!({ b, x: inputs, attributes });
    return [...reverse(b, parts, new Set(inputs.filter((input) => depends.has(input))), inputs, dy)];
  }
  const found = op.gradient({ b, x: inputs, y: value, dy, attributes });
  return inputs.flatMap((input, i) => {
    const gradient = found[i];
    return gradient === undefined || !depends.has(input) ? [] : [[input, gradient] as const];
  });
}

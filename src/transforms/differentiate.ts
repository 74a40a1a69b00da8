/** Reverse-mode differentiation: from a value, the graph of its gradients. */
import { printDims, sameDims } from "../graph/dim.ts";
import { type Attributes, inOrder, type Value } from "../graph/value.ts";
import { allOps, createBuilder } from "../ops/builder.ts";
import { type Builder, ShapeError } from "../ops/op.ts";
import { filled } from "../ops/spread.ts";
import { FrugalError } from "../tensor/error.ts";

export interface DifferentiateOptions {
  /** A value of the loss's shape: the gradients are those of the sum of seed · loss. Ones where absent. */
  readonly seed?: Value | undefined;
  /** Makes the values of the gradients; its record gives the order that keeps the least in memory. */
  readonly builder?: Builder | undefined;
  /** Called with each of `wrt` that the loss depends on, as soon as its gradient is whole. */
  readonly onGradient?: ((of: Value, gradient: Value) => void) | undefined;
  /** Sets of values that are computed again when the way back reaches them, so that they need not be kept (transforms/recompute.ts). */
  readonly recompute?: readonly ReadonlySet<Value>[] | undefined;
  /** Gives for a value of the way forward what the way back reads in its place: the value as it was kept. */
  readonly kept?: ((value: Value) => Value) | undefined;
}

/**
 * The gradients of the sum of `loss` with respect to each of `wrt`, in their shapes; zeros where the loss does not depend on one.
 * Fused ops whose gradient is their decomposition's compute its intermediate values again, so that only their inputs need to be kept.
 * Throws FRUGAL_UNSUPPORTED where an op on the way has no gradient yet.
 * @example
 * const b = createBuilder();
 * const w = b.weight("w", [4, 4]);
 * const x = b.input("x", { shape: [2, 4], type: "f32" });
 * const [dw] = differentiate(b.matmul(x, w), [w]);
 */
export function differentiate(loss: Value, wrt: readonly Value[], options: DifferentiateOptions = {}): Value[] {
  const { seed, builder: b = createBuilder() } = options;
  if (seed !== undefined && !sameDims(seed.shape, loss.shape))
    throw new ShapeError(`differentiate: the seed must have the loss's shape ${printDims(loss.shape)}, got ${printDims(seed.shape)}`);
  const integer = wrt.find(({ type }) => type !== "f32");
  if (integer !== undefined) throw new ShapeError(`differentiate: only f32 values have gradients, got ${integer.type} from ${integer.op}`);
  const gradients = reverse(b, loss, new Set(wrt), [], seed ?? filled(b, 1, loss.shape), options);
  return wrt.map((value) => gradients.get(value) ?? filled(b, 0, value.shape));
}

/** Walks back from `output` and stops at `known`, whose values count as independent of each other. */
function reverse(
  b: Builder,
  output: Value,
  wrt: ReadonlySet<Value>,
  known: Iterable<Value>,
  seed: Value,
  { onGradient, recompute = [], kept = (value) => value }: DifferentiateOptions = {},
): Map<Value, Value> {
  const order = inOrder([output], known);
  const depends = new Set<Value>(wrt);
  for (const value of order) if (value.inputs.some((input) => depends.has(input))) depends.add(value);
  // How many users may still add to a gradient; at none it is whole.
  const waiting = new Map<Value, number>();
  if (onGradient !== undefined)
    for (const { inputs } of order)
      for (const input of new Set(inputs)) if (wrt.has(input)) waiting.set(input, (waiting.get(input) ?? 0) + 1);

  const again = recomputing(b, order, recompute);
  const gradients = new Map<Value, Value>([[output, seed]]);
  const accumulate = (value: Value, gradient: Value): void => {
    const before = gradients.get(value);
    gradients.set(value, before === undefined ? gradient : b.add(before, gradient));
  };
  for (const value of order.toReversed()) {
    const dy = gradients.get(value);
    if (dy !== undefined && value.inputs.some((input) => depends.has(input)))
      for (const [input, gradient] of inputGradients(b, value, asKept(again(value), kept), dy, depends)) accumulate(input, gradient);
    if (onGradient !== undefined)
      for (const input of new Set(value.inputs)) {
        if (!wrt.has(input)) continue;
        const left = waiting.get(input)! - 1;
        waiting.set(input, left);
        const gradient = gradients.get(input);
        if (left === 0 && gradient !== undefined) onGradient(input, gradient);
      }
    // Nobody asks for it again, and a long graph has many.
    if (!wrt.has(value)) gradients.delete(value);
  }
  return gradients;
}

/** The value with what was kept of its inputs; what was kept of itself holds its numbers, where its gradient reads them. */
function asKept(
  value: Value,
  kept: (value: Value) => Value,
): { readonly inputs: readonly Value[]; readonly result: Value; readonly attributes: Attributes } {
  return { inputs: value.inputs.map(kept), result: kept(value), attributes: value.attributes };
}

/** Gives for a value what stands for it on the way back: itself, or its copy, made for its whole set when the first of the set is asked for. */
function recomputing(b: Builder, order: readonly Value[], sets: readonly ReadonlySet<Value>[]): (value: Value) => Value {
  const copies = new Map<Value, Value>();
  return (value) => {
    const set = copies.has(value) ? undefined : sets.find((each) => each.has(value));
    if (set !== undefined)
      for (const each of order) {
        if (!set.has(each)) continue;
        const inputs = each.inputs.map((input) => copies.get(input) ?? input);
        const calls = b as unknown as Readonly<Record<string, (...args: unknown[]) => Value>>;
        const make = calls[each.op]!;
        copies.set(each, allOps[each.op]!.arity === "many" ? make(inputs, each.attributes) : make(...inputs, each.attributes));
      }
    return copies.get(value) ?? value;
  };
}

/** Of `value`, whose numbers and inputs are those of `from`. */
function inputGradients(
  b: Builder,
  value: Value,
  from: ReturnType<typeof asKept>,
  dy: Value,
  depends: ReadonlySet<Value>,
): (readonly [Value, Value])[] {
  const op = allOps[value.op]!;
  const { inputs, attributes } = from;
  if (op.gradient === "none") return [];
  if (op.gradient === "unsupported")
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${value.op}: cannot be differentiated; use a graph without it, such as the program without a cache`,
    );
  if (op.gradient === "decomposition") {
    const parts = op.decompose!({ b, x: inputs, attributes });
    const wanted = inputs.filter((_, i) => depends.has(value.inputs[i]!));
    const found = reverse(b, parts, new Set(wanted), inputs, dy);
    const places = new Map(inputs.map((input, i) => [input, value.inputs[i]!]));
    return [...found].flatMap(([input, gradient]) => (places.has(input) ? [[places.get(input)!, gradient] as const] : []));
  }
  const found = op.gradient({ b, x: inputs, y: from.result, dy, attributes });
  return value.inputs.flatMap((input, i) => {
    const gradient = found[i];
    return gradient === undefined || !depends.has(input) ? [] : [[input, gradient] as const];
  });
}

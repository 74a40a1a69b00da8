/**
 * What becomes one step in a program that updates weights: products of floats with their transposes, factors and sums; gradients that are
 * found together; and chains of maps.
 */
import { sameDims } from "../../graph/dim.ts";
import { sourceOps, type Value } from "../../graph/value.ts";
import { groupMaps, passesOutside } from "./elementwise.ts";

/** y = alpha · x · wᵀ + residual, of operands that may be stored as their transposes. */
export interface FloatProduct {
  readonly result: Value;
  readonly x: Value;
  readonly xTransposed: boolean;
  readonly w: Value;
  readonly wTransposed: boolean;
  readonly alpha: number;
  readonly residual?: Value;
}

export interface TrainingFolds {
  /** By result. */
  readonly products: ReadonlyMap<Value, FloatProduct>;
  /** Values that no step computes. */
  readonly folded: ReadonlySet<Value>;
  readonly groups: readonly ReadonlySet<Value>[];
}

/** `isInteger(weight)` says of a weight whether its products take quantised rows, which products of floats are not. */
export function trainingFolds(order: readonly Value[], wanted: ReadonlySet<Value>, isInteger: (weight: Value) => boolean): TrainingFolds {
  const users = new Map<Value, Value[]>(order.map((value) => [value, []]));
  for (const value of order) for (const input of new Set(value.inputs)) users.get(input)!.push(value);
  const products = new Map<Value, FloatProduct>();
  const folded = new Set<Value>();
  const isTurned = (value: Value): boolean =>
    value.op === "transpose" &&
    value.shape.length === 2 &&
    !wanted.has(value) &&
    users.get(value)!.every(({ op, inputs }) => op === "matmul" && !isInteger(inputs[1]!));
  for (const value of order) {
    if (isTurned(value)) folded.add(value);
    if (value.op !== "matmul") continue;
    const [x, w] = value.inputs as [Value, Value];
    if (isInteger(w)) continue;
    const of = (operand: Value): readonly [Value, boolean] => (isTurned(operand) ? [operand.inputs[0]!, true] : [operand, false]);
    const [[plainX, xTransposed], [plainW, wTransposed]] = [of(x), of(w)];
    products.set(value, { result: value, x: plainX, xTransposed, w: plainW, wTransposed, alpha: 1 });
  }
  const single = (value: Value): FloatProduct | undefined =>
    users.get(value)!.length === 1 && !wanted.has(value) ? products.get(value) : undefined;
  const replace = (old: Value, product: FloatProduct): void => {
    products.delete(old);
    folded.add(old);
    products.set(product.result, product);
  };
  for (const value of order) {
    const [a, b] = value.inputs;
    if (value.op === "scale" && (value.attributes["plus"] ?? 0) === 0) {
      const product = single(a!);
      if (product && !product.residual)
        replace(a!, { ...product, result: value, alpha: product.alpha * ((value.attributes["by"] as number | undefined) ?? 1) });
    }
    if (value.op === "add" && a !== b && sameDims(a!.shape, b!.shape)) {
      const [left, right] = [single(a!), single(b!)];
      // The later of the two is the product; the other is there before it.
      if (right && !right.residual) replace(b!, { ...right, result: value, residual: a! });
      else if (left && !left.residual && !sourceOps.includes(b!.op)) replace(a!, { ...left, result: value, residual: b! });
    }
  }
  const rest = order.filter((value) => !folded.has(value) && !products.has(value));
  const position = new Map(order.map((value, i) => [value, i]));
  const gradients = gradientGroups(rest, position);
  return { products, folded, groups: [...gradients, ...groupMaps(order, users, (value) => !folded.has(value) && !products.has(value))] };
}

/** Ops whose results for the same inputs come from one pass: by name, how many inputs they share. */
const together: Readonly<Record<string, number>> = {
  attentionGradient: 5,
  rmsNormGradient: 3,
  layerNormGradient: 3,
  linearCrossEntropy: 3,
  linearCrossEntropyGradient: 3,
};
const families: Readonly<Record<string, string>> = { linearCrossEntropyGradient: "linearCrossEntropy" };

function gradientGroups(order: readonly Value[], position: ReadonlyMap<Value, number>): ReadonlySet<Value>[] {
  const numbers = new Map<Value, number>();
  const numberOf = (value: Value): number => {
    const known = numbers.get(value) ?? numbers.size;
    numbers.set(value, known);
    return known;
  };
  const groups = new Map<string, Set<Value>>();
  for (const value of order) {
    const shared = together[value.op];
    if (shared === undefined) continue;
    const { of: _, ...attributes } = value.attributes;
    const key = [families[value.op] ?? value.op, ...value.inputs.slice(0, shared).map(numberOf), JSON.stringify(attributes)].join();
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, new Set([value]));
      continue;
    }
    // Gradients of one loss for two seeds, or a seed that depends on the loss itself, are found apart.
    const union = new Set([...group, value]);
    const seeds = new Set([...union].flatMap(({ inputs }) => inputs.slice(shared)));
    if (seeds.size <= 1 && !passesOutside(union, position)) group.add(value);
    else groups.set(`${key} ${numberOf(value)}`, new Set([value]));
  }
  return [...groups.values()].filter(({ size }) => size > 1);
}

/**
 * Which values of a graph become part of a neighbour's kernel: products of the same rows are one step, and a product takes in
 * its bias, the residual it is added to, and the gated unit it feeds. Only values with one use are folded, so no result is lost.
 */
import { sameDims } from "../../graph/dim.ts";
import { sourceOps, type Value } from "../../graph/value.ts";

export interface Product {
  /** The value whose numbers the kernel writes. */
  readonly result: Value;
  readonly x: Value;
  readonly weight: Value;
  /** The second matrix of a gated unit. */
  readonly up?: Value;
  readonly bias?: Value;
  readonly residual?: Value;
  /** Kind of the gate. */
  readonly gate?: string;
}

export interface Folds {
  /** By result. */
  readonly products: ReadonlyMap<Value, Product>;
  /** Values that no step of their own computes. */
  readonly folded: ReadonlySet<Value>;
}

/** `isMatrix` says whether a weight is packed; products of others are no products of this kind. */
export function findFolds(order: readonly Value[], outputs: ReadonlySet<Value>, isMatrix: (weight: Value) => boolean): Folds {
  const uses = new Map<Value, number>();
  for (const value of order) for (const input of value.inputs) uses.set(input, (uses.get(input) ?? 0) + 1);
  const products = new Map<Value, Product>();
  const folded = new Set<Value>();
  const single = (value: Value): Product | undefined => (uses.get(value) === 1 && !outputs.has(value) ? products.get(value) : undefined);
  const replace = (old: readonly Value[], product: Product): void => {
    for (const value of old) {
      products.delete(value);
      folded.add(value);
    }
    products.set(product.result, product);
  };
  const position = new Map(order.map((value, i) => [value, i]));
  const rules: Readonly<Record<string, (value: Value) => void>> = {
    matmul(value) {
      const [x, weight] = value.inputs as [Value, Value];
      if (isMatrix(weight)) products.set(value, { result: value, x, weight });
    },
    add(value) {
      const [a, b] = value.inputs as [Value, Value];
      const left = single(a);
      const right = single(b);
      if (left && !left.bias && !left.gate && !left.residual && b.op === "weight" && b.shape.length === 1)
        return replace([a], { ...left, result: value, bias: b });
      if (!sameDims(a.shape, b.shape)) return;
      // The residual must be there before the product; the later of the two is the product.
      if (right && !right.residual && !sourceOps.includes(a.op) && position.get(a)! < position.get(b)!)
        return replace([b], { ...right, result: value, residual: a });
      if (left && !left.residual && !sourceOps.includes(b.op)) return replace([a], { ...left, result: value, residual: b });
    },
    glu(value) {
      const [gate, up] = value.inputs as [Value, Value];
      const left = gate === up ? undefined : single(gate);
      const right = single(up);
      if (!left || !right || left.x !== right.x || left.bias || right.bias || left.gate || right.gate || left.residual || right.residual)
        return;
      replace([gate, up], { ...left, result: value, up: right.weight, gate: String(value.attributes["kind"]) });
    },
    activation(value) {
      const [x] = value.inputs as [Value];
      const product = single(x);
      if (product && !product.gate && !product.residual)
        replace([x], { ...product, result: value, gate: String(value.attributes["kind"]) });
    },
  };
  for (const value of order) rules[value.op]?.(value);
  return { products, folded };
}

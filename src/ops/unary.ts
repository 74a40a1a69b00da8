/** What the elementwise ops of one input without attributes share. */
import type { Value } from "../graph/value.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import type { Builder, Domain, Op } from "./op.ts";

export interface UnaryFormula {
  readonly name: string;
  readonly formula: (x: number) => number;
  readonly gradient: (g: { readonly b: Builder; readonly x: Value; readonly y: Value; readonly dy: Value }) => Value;
  /** About how many additions or multiplications one element costs. */
  readonly flops: number;
  readonly domain?: Domain;
}

export function unary({ name, formula, gradient, flops, domain = "normal" }: UnaryFormula): Op<1, {}> {
  return {
    name,
    arity: 1,
    attributes: {},
    shape: ([x]) => x,
    gradient: ({ b, x: [x], y, dy }) => [gradient({ b, x, y, dy })],
    cost: ([x]) => costOf(flops * size(x), x, x),
    reference([x], y) {
      for (let i = 0; i < y.data.length; i++) y.data[i] = formula(x.data[i]!);
    },
    samples: [
      [2, 3],
      [1, 1],
      [5, 33],
      [2, 3, 7],
    ].map((shape) => ({ shapes: [shape], attributes: {}, domains: [domain] })),
  };
}

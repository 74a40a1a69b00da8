/** What the elementwise ops of two inputs share: y has a's shape, b is spread over it. */
import type { Value } from "../graph/value.ts";
import { size } from "../tensor/shape.ts";
import { costOf } from "./cost.ts";
import { spreadIndex } from "./lines.ts";
import type { Builder, Domain, Op } from "./op.ts";
import { expectSpread, sumTo } from "./spread.ts";

export interface BinaryFormula {
  readonly name: string;
  readonly formula: (a: number, b: number) => number;
  /** Gradients of a and of the spread b, both in a's shape. */
  readonly gradient:
    | "none"
    | ((g: { readonly b: Builder; readonly x: readonly [Value, Value]; readonly y: Value; readonly dy: Value }) => readonly [Value, Value]);
  /** Of both inputs. */
  readonly domain?: Domain;
}

export function binary({ name, formula, gradient, domain = "normal" }: BinaryFormula): Op<2, {}> {
  const domains = [domain, domain];
  return {
    name,
    arity: 2,
    attributes: {},
    shape([a, b]) {
      expectSpread(name, "b", b, a);
      return a;
    },
    gradient:
      gradient === "none"
        ? "none"
        : ({ b, x, y, dy }) => {
            const [da, db] = gradient({ b, x, y, dy });
            return [da, sumTo(b, db, x[1].shape)];
          },
    cost: ([a, b]) => costOf(size(a), a, a, b),
    reference([a, b], y) {
      const at = spreadIndex(a.shape, b.shape);
      for (let i = 0; i < y.data.length; i++) y.data[i] = formula(a.data[i]!, b.data[at(i)]!);
    },
    samples: [
      {
        shapes: [
          [2, 3],
          [2, 3],
        ],
        attributes: {},
        domains,
      },
      { shapes: [[3, 17], [17]], attributes: {}, domains },
      {
        shapes: [
          [5, 9],
          [5, 1],
        ],
        attributes: {},
        domains,
      },
      {
        shapes: [
          [2, 3, 5],
          [2, 1, 5],
        ],
        attributes: {},
        domains,
      },
      {
        shapes: [
          [2, 3, 5],
          [1, 3, 1],
        ],
        attributes: {},
        domains,
      },
      {
        shapes: [
          [3, 7],
          [1, 1],
        ],
        attributes: {},
        domains,
      },
      {
        shapes: [
          [1, 1],
          [1, 1],
        ],
        attributes: {},
        domains,
      },
    ],
  };
}

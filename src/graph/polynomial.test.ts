import fc from "fast-check";
import { expect, it } from "vitest";
import { type Dim, evaluate, plus, printDim, sameDim, symbol, symbolNames, type Symbols, times } from "./dim.ts";
import { add, elements, evaluatePolynomial, printPolynomial, scaled, upperBound } from "./polynomial.ts";

const dim: fc.Arbitrary<Dim> = fc
  .tuple(fc.nat(9), fc.array(fc.tuple(fc.constantFrom(...symbolNames), fc.nat(5)), { maxLength: 2 }))
  .map(([constant, terms]) => terms.reduce<Dim>((sum, [name, factor]) => plus(sum, times(symbol(name), factor)), constant));
const shape = fc.array(dim, { maxLength: 3 });
const symbols: fc.Arbitrary<Symbols> = fc.record({ T: fc.nat(9), S: fc.nat(9), C: fc.nat(9), R: fc.nat(9) });

it("counts elements as the product of the sizes, whatever the symbols", () => {
  fc.assert(
    fc.property(shape, symbols, (dims, s) => {
      expect(evaluatePolynomial(elements(dims), s)).toBe(dims.reduce<number>((product, d) => product * evaluate(d, s), 1));
    }),
  );
});

it("adds, scales and bounds as numbers do", () => {
  fc.assert(
    fc.property(shape, shape, symbols, (a, b, s) => {
      const [p, q] = [elements(a), elements(b)];
      const [x, y] = [evaluatePolynomial(p, s), evaluatePolynomial(q, s)];
      expect(evaluatePolynomial(add(p, q), s)).toBe(x + y);
      expect(evaluatePolynomial(scaled(p, 3), s)).toBe(3 * x);
      expect(evaluatePolynomial(upperBound(p, q), s)).toBeGreaterThanOrEqual(Math.max(x, y));
    }),
  );
});

it("says when two sizes are one", () => {
  expect(sameDim(plus(symbol("T"), symbol("T")), times(symbol("T"), 2))).toBe(true);
  expect(sameDim(plus(symbol("T"), times(symbol("T"), -1)), 0)).toBe(true);
  expect(sameDim(symbol("T"), symbol("S"))).toBe(false);
});

it("prints for people", () => {
  expect(printDim(plus(times(symbol("T"), 2), 1))).toBe("2T+1");
  expect(printPolynomial(elements([symbol("T"), plus(symbol("T"), 3)]))).toBe("3·T + 1·T·T");
  expect(printPolynomial(new Map())).toBe("0");
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Dim, symbol, type Symbols } from "../graph/dim.ts";
import { elements, evaluatePolynomial, type Polynomial } from "../graph/polynomial.ts";
import { inOrder } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import { planMemory, planValues, type PlannedBuffer } from "./plan-memory.ts";

const dim: fc.Arbitrary<Dim> = fc.oneof(
  fc.nat(200),
  fc.constantFrom(
    symbol("T"),
    symbol("S"),
    symbol("C"),
    symbol("R"),
    { constant: 1, coefficients: { S: 1 } },
    { constant: 0, coefficients: { T: 3 } },
  ),
);
const buffer: fc.Arbitrary<PlannedBuffer> = fc
  .tuple(fc.array(dim, { minLength: 1, maxLength: 3 }), fc.nat(30), fc.nat(12))
  .map(([dims, from, length]) => ({ size: elements(dims), from, to: from + length }));
const symbols: fc.Arbitrary<Symbols> = fc.record({ T: fc.nat(100), S: fc.nat(9), C: fc.nat(20), R: fc.nat(9) });
const at = (p: Polynomial, s: Symbols): number => evaluatePolynomial(p, s);

describe("planMemory", () => {
  it("never overlaps buffers that live at the same time, whatever the symbols", () => {
    fc.assert(
      fc.property(fc.array(buffer, { maxLength: 25 }), symbols, (buffers, s) => {
        const { offsets, size } = planMemory(buffers);
        buffers.forEach((a, i) => {
          const [start, end] = [at(offsets[i]!, s), at(offsets[i]!, s) + at(a.size, s)];
          if (![...a.size].some(([m, v]) => m.length > 1 && v % 16 !== 0)) expect(start % 16).toBe(0);
          expect(end).toBeLessThanOrEqual(at(size, s));
          buffers.slice(0, i).forEach((b, j) => {
            if (a.from > b.to || b.from > a.to) return;
            const [otherStart, otherEnd] = [at(offsets[j]!, s), at(offsets[j]!, s) + at(b.size, s)];
            expect(start >= otherEnd || otherStart >= end).toBe(true);
          });
        });
      }),
    );
  });

  it("needs at least what lives at once, and no more than all together", () => {
    fc.assert(
      fc.property(fc.array(buffer, { maxLength: 25 }), symbols, (buffers, s) => {
        const size = at(planMemory(buffers).size, s);
        const live = Array.from({ length: 45 }, (_, step) =>
          buffers.filter(({ from, to }) => from <= step && step <= to).reduce((sum, b) => sum + at(b.size, s), 0),
        );
        expect(size).toBeGreaterThanOrEqual(Math.max(0, ...live));
        expect(size).toBeLessThanOrEqual(buffers.reduce((sum, b) => sum + 16 * at(b.size, s) + 16 * 60, 0));
      }),
    );
  });

  it("gives the memory of finished buffers to later ones", () => {
    const size = elements([symbol("T"), 64]);
    const chain = Array.from({ length: 50 }, (_, step) => ({ size, from: step, to: step + 1 }));
    expect([...planMemory(chain).size]).toEqual([["T", 128]]);
  });

  it("puts two small buffers into the room of a large one", () => {
    const [large, small] = [elements([symbol("T"), 64]), elements([symbol("T"), 32])];
    const plan = planMemory([
      { size: large, from: 0, to: 1 },
      { size: small, from: 2, to: 3 },
      { size: small, from: 2, to: 3 },
    ]);
    expect([...plan.size]).toEqual([["T", 64]]);
  });

  it("rounds sizes up to 64 bytes", () => {
    const plan = planMemory([
      { size: elements([5]), from: 0, to: 0 },
      { size: elements([symbol("T")]), from: 0, to: 0 },
    ]);
    expect(new Map(plan.size)).toEqual(
      new Map([
        ["", 16],
        ["T", 16],
      ]),
    );
  });

  it("does not pad what would be large: scores of attention", () => {
    const scores = { size: elements([symbol("T"), symbol("T")]), from: 0, to: 1 };
    const rows = { size: elements([symbol("T"), 8]), from: 0, to: 1 };
    const { offsets, size } = planMemory([scores, rows, { ...scores, from: 1 }]);
    expect(new Map(size)).toEqual(
      new Map([
        ["T", 16],
        ["TT", 2],
      ]),
    );
    expect(new Map(offsets[1])).toEqual(new Map());
  });

  it("plans thousands of long-lived buffers quickly", () => {
    const buffers = Array.from({ length: 2000 }, (_, i) => ({ size: elements([symbol("T"), 64 + (i % 7) * 32]), from: i, to: 4000 - i }));
    const start = performance.now();
    planMemory(buffers);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe("planValues", () => {
  it("lets a reshape share its input's memory and keeps outputs to the end", () => {
    const b = createBuilder();
    const x = b.input("x", { shape: [symbol("T"), 32], type: "f32" });
    const first = b.exp(x);
    const flat = b.reshape(first, { shape: [{ constant: 0, coefficients: { T: 2 } }, 16] });
    const second = b.exp(b.exp(flat));
    const order = inOrder([second, first]);
    const plan = planValues(order, [second, first]);
    expect(plan.offsetOf(x)).toBeUndefined();
    expect(plan.offsetOf(b.reshape(x, { shape: x.shape }))).toBeUndefined();
    expect(plan.offsetOf(flat)).toEqual(plan.offsetOf(first));
    expect([...plan.arena]).toEqual([["T", 96]]); // first, its exp, and second
    expect([...planValues(order, [second]).arena]).toEqual([["T", 64]]);
  });
});

import { describe, expect, it } from "vitest";
import { createBuilder, opRules } from "../../src/ops/builder.ts";
import { symbol } from "../../src/graph/dim.ts";
import type { Value } from "../../src/graph/value.ts";
import { verifyGraph } from "../../src/graph/verify.ts";

const b = createBuilder();
const x = b.input("x", { shape: [symbol("T"), 4], type: "f32" });
const y = b.scale(b.exp(x), { by: 2 });
const check = (...values: Value[]): void => verifyGraph({ outputs: new Map(values.map((value, i) => [`y${i}`, value])) }, opRules);

describe("verifyGraph", () => {
  it("accepts what the builder makes", () => {
    check(y, x, b.matmul(x, b.weight("w", [3, 4])), b.add(x, b.constant(Float32Array.of(1, 2, 3, 4), [4])));
  });

  const constant = b.constant(Int32Array.of(1, 2), [2]);
  it.each<[string, Value, RegExp]>([
    ["an unknown op", { ...y, op: "scael" }, /unknown op "scael"/],
    ["an op named like a property of every object", { ...y, op: "constructor" }, /unknown op "constructor"/],
    ["a missing input", { ...y, inputs: [] }, /takes 1 inputs, got 0/],
    ["an input too many", { ...y, inputs: [x, x] }, /takes 1 inputs, got 2/],
    ["an input of the wrong type", { ...y, inputs: [constant] }, /must be f32, got i32\[2\]/],
    ["a shape that the inputs do not give", { ...y, shape: [4, symbol("T")] }, /the inputs give f32\[T, 4\]/],
    ["a type that the inputs do not give", { ...y, type: "i32" }, /the inputs give f32/],
    ["an unknown attribute", { ...y, attributes: { by: 2, pluss: 1 } }, /did you mean "plus"/],
    ["a missing attribute", { ...y, attributes: {} }, /"by" must be number/],
    ["an attribute of the wrong kind", { ...y, attributes: { by: "2" } }, /"by" must be number, got "2"/],
    ["an attribute that is not finite", { ...y, attributes: { by: Infinity } }, /"by" must be number/],
    ["numbers where none belong", { ...y, data: Float32Array.of(1) }, /only constants hold numbers/],
    ["a constant without numbers", { ...constant, data: undefined } as unknown as Value, /holds 2 numbers, found none/],
    ["a constant with too many numbers", { ...constant, data: Int32Array.of(1, 2, 3) }, /holds 2 numbers, found 3/],
    ["a constant of the other type", { ...constant, type: "f32" }, /other type/],
    ["a constant of a symbolic shape", { ...constant, shape: [symbol("T")] }, /fixed shape/],
    ["a weight of a symbolic shape", { ...b.weight("v", [2]), shape: [symbol("T")] }, /fixed shape/],
    ["a source with inputs", { ...x, inputs: [y] }, /no inputs/],
    ["a source without a name", { ...x, attributes: {} }, /has a name/],
    ["a source with more than a name", { ...x, attributes: { name: "x", by: 2 } }, /nothing else/],
  ])("finds %s, and prints the line", (_, value, message) => {
    const error = (() => {
      try {
        check(b.exp(x), value);
      } catch (found) {
        return found as Error;
      }
      return undefined;
    })();
    expect(error).toMatchObject({ code: "FRUGAL_INTERNAL" });
    expect(error!.message).toMatch(message);
    expect(error!.message).toMatch(/in "%\d+ (f32|i32)\[.*\] = \w+\(.*\)"/);
  });

  it("finds two sources of one name", () => {
    expect(() => check(x, { ...x })).toThrow(/two sources are named "x"/);
  });

  it("finds a cycle", () => {
    const inputs: Value[] = [x];
    const first: Value = { ...b.exp(x), inputs };
    const second = b.exp(first);
    inputs[0] = second;
    expect(() => check(second)).toThrow(/needs its own result/);
  });

  it("walks graphs deeper than the call stack", () => {
    let deep = x;
    for (let i = 0; i < 50_000; i++) deep = b.exp(deep);
    check(deep);
  });
});

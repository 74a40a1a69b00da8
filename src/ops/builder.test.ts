import { describe, expect, it } from "vitest";
import { plus, symbol, times } from "../graph/dim.ts";
import { sourceName } from "../graph/value.ts";
import { createBuilder } from "./builder.ts";

const T = symbol("T");
const b = createBuilder();
const x = b.input("x", { shape: [T, 6], type: "f32" });

describe("createBuilder", () => {
  it("infers shapes and types, symbols included", () => {
    expect(b.matmul(x, b.weight("w", [5, 6]))).toMatchObject({ op: "matmul", shape: [T, 5], type: "f32" });
    expect(b.concat([x, x], { axis: 0 }).shape[0]).toEqual(times(T, 2));
    expect(b.argmax(x)).toMatchObject({ shape: [T], type: "i32" });
    const offsets = b.input("rowOffsets", { shape: [plus(symbol("S"), 1)], type: "i32" });
    expect(b.pool(x, offsets, { kind: "mean" }).shape).toEqual([symbol("S"), 6]);
    expect(b.slice(offsets, { axis: 0, start: 1, length: symbol("S") })).toMatchObject({ type: "i32" });
  });

  it("gives the same source for the same name, and refuses another", () => {
    expect(b.input("x", { shape: [T, 6], type: "f32" })).toBe(x);
    expect(b.weight("w", [5, 6])).toBe(b.weight("w", [5, 6]));
    expect(() => b.weight("w", [6, 5])).toThrow(/weight "w": asked for as f32\[6, 5\], but it is the weight f32\[5, 6\]/);
    expect(() => b.weight("x", [6, 5])).toThrow(/it is the input/);
    expect(() => b.input("x", { shape: [T, 6], type: "i32" })).toThrow(/it is the input f32/);
  });

  it("names constants by their numbers", () => {
    const name = (...numbers: number[]): string => sourceName(b.constant(Float32Array.from(numbers), [numbers.length]));
    expect(name(1, 2)).toBe(name(1, 2));
    expect(name(1, 2)).not.toBe(name(2, 1));
    expect(() => b.constant(Float32Array.of(1), [2])).toThrow(/needs 2 numbers, got 1/);
  });

  it("leaves out attributes that are undefined", () => {
    expect(b.softmax(x, { axis: undefined }).attributes).toEqual({});
    expect(b.softmax(x).attributes).toEqual({});
  });

  it.each<[string, () => unknown, string, RegExp]>([
    [
      "an unknown attribute",
      () => b.scale(x, { by: 1, plsu: 2 } as { by: number }),
      "FRUGAL_BAD_ARGUMENT",
      /scale: unknown attribute "plsu"; did you mean "plus"\?/,
    ],
    [
      "a missing attribute",
      () => b.scale(x, {} as { by: number }),
      "FRUGAL_BAD_ARGUMENT",
      /scale: attribute "by" must be number, got undefined/,
    ],
    ["a choice that is none", () => b.activation(x, { kind: "sillu" as "silu" }), "FRUGAL_BAD_ARGUMENT", /did you mean "silu"\?/],
    ["a negative axis", () => b.sum(x, { axis: -1 }), "FRUGAL_BAD_ARGUMENT", /"axis" must be integer, got -1/],
    ["an axis that is not there", () => b.sum(x, { axis: 2 }), "FRUGAL_SHAPE", /sum: axis 2 is not an axis of \[T, 6\]; use 0 to 1/],
    ["sizes that differ", () => b.matmul(x, b.weight("bad", [5, 7])), "FRUGAL_SHAPE", /matmul: the last size of w must be 6, got 7/],
    ["sizes that do not spread", () => b.add(x, b.weight("five", [5])), "FRUGAL_SHAPE", /add: b \[5\] does not spread over \[T, 6\]/],
    ["a reshape of another size", () => b.reshape(x, { shape: [T, 5] }), "FRUGAL_SHAPE", /reshape: \[T, 6\] and \[T, 5\]/],
    [
      "a slice past the end",
      () => b.slice(x, { axis: 1, start: 4, length: 3 }),
      "FRUGAL_SHAPE",
      /slice: 3 from 4 does not lie within the 6/,
    ],
    ["a slice that may end too late", () => b.slice(x, { axis: 0, start: 1, length: T }), "FRUGAL_SHAPE", /slice: T from 1/],
    ["ids that are not whole", () => b.gather(x, x), "FRUGAL_SHAPE", /gather: input 1 must be i32, got f32\[T, 6\] from input/],
    ["numbers of two types", () => b.concat([x, b.argmax(x)], { axis: 0 }), "FRUGAL_SHAPE", /concat: input 1 must be f32/],
    ["nothing to put together", () => b.concat([], { axis: 0 }), "FRUGAL_BAD_ARGUMENT", /concat: takes many inputs, got 0/],
    ["a missing input", () => (b.add as (a: unknown) => unknown)(x), "FRUGAL_BAD_ARGUMENT", /add: takes 2 inputs/],
    [
      "heads that keys do not divide",
      () => b.attention(x, x, x, b.argmax(x), { heads: 3, keyValueHeads: 2, headSize: 2, scale: 1, causal: true }),
      "FRUGAL_SHAPE",
      /heads must be a multiple/,
    ],
    [
      "slopes for other heads",
      () => b.attention(x, x, x, b.argmax(x), { heads: 3, keyValueHeads: 3, headSize: 2, scale: 1, causal: true, slopes: [1] }),
      "FRUGAL_SHAPE",
      /slopes needs one number for each of 3 heads, got 1/,
    ],
    [
      "a window of nothing",
      () => b.attention(x, x, x, b.argmax(x), { heads: 3, keyValueHeads: 3, headSize: 2, scale: 1, causal: true, window: 0 }),
      "FRUGAL_SHAPE",
      /window and softcap must be positive/,
    ],
    [
      "more rotation than head",
      () => b.rope(x, b.argmax(x), b.weight("four", [4]), { headSize: 6, style: "half" }),
      "FRUGAL_SHAPE",
      /rope: frequencies \[4\] rotate more channels/,
    ],
    [
      "a norm of other channels",
      () => b.rmsNorm(x, b.weight("five", [5]), { epsilon: 1e-5 }),
      "FRUGAL_SHAPE",
      /rmsNorm: weight must hold 6 or 6 numbers, got 5|rmsNorm/,
    ],
    [
      "groups that do not divide",
      () => b.rmsNorm(x, b.weight("five", [5]), { epsilon: 1e-5, groups: 4 }),
      "FRUGAL_SHAPE",
      /channels of x must be a multiple of 4, got 6/,
    ],
    ["more experts than there are", () => b.routeIds(x, { count: 7 }), "FRUGAL_SHAPE", /routeIds: count must be 1 to 6, got 7/],
  ])("refuses %s", (_, make, code, message) => {
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error);
  });
});

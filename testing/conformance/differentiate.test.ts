/** The rules of whole graphs; the gradients of single ops are checked by testing/conformance. */
import { describe, expect, it } from "vitest";
import { symbol } from "../../src/graph/dim.ts";
import { inOrder, type Value } from "../../src/graph/value.ts";
import { verifyGraph } from "../../src/graph/verify.ts";
import { createBuilder, opRules } from "../../src/ops/builder.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { differentiate } from "../../src/transforms/differentiate.ts";

const caps = { T: 2, S: 1, C: 1, R: 1 };

async function numbers(values: readonly Value[], x: readonly number[]): Promise<number[][]> {
  const graph = { outputs: new Map(values.map((value, i) => [String(i), value])) };
  verifyGraph(graph, opRules);
  const model = await createReferenceBackend().load({ main: graph }, new Map(), { caps });
  const outputs = await model.run({ program: "main", symbols: caps, inputs: { x: Float32Array.from(x) } });
  return values.map((_, i) => [...outputs[i]!]);
}

describe("differentiate", () => {
  const b = createBuilder();
  const x = b.input("x", { shape: [symbol("T")], type: "f32" });

  it("adds up what a value gets from each of its uses", async () => {
    const cube = b.mul(b.mul(x, x), x);
    expect(await numbers(differentiate(cube, [x]), [2, 3])).toEqual([[12, 27]]);
    expect(await numbers(differentiate(b.glu(x, x, { kind: "relu" }), [x]), [2, 3])).toEqual([[4, 6]]);
  });

  it("counts the way through an intermediate value and the value itself", async () => {
    const square = b.mul(x, x);
    const gradients = differentiate(b.mul(square, x), [square, x]);
    expect(await numbers(gradients, [2, 3])).toEqual([
      [2, 3],
      [12, 27],
    ]);
  });

  it("inside a fused op, inputs that depend on each other count once each", async () => {
    const gate = b.scale(x, { by: 2 });
    const [dgate, dx] = differentiate(b.glu(gate, b.mul(gate, x), { kind: "identity" }), [gate, x]); // 4x³
    expect(await numbers([dgate!, dx!], [1, 2])).toEqual([
      [4, 16],
      [12, 48],
    ]);
  });

  it("multiplies with the seed", async () => {
    expect(await numbers(differentiate(b.mul(x, x), [x], { seed: b.scale(x, { by: 0, plus: 10 }) }), [2, 3])).toEqual([[40, 60]]);
    expect(() => differentiate(x, [x], { seed: b.constant(Float32Array.of(1), [1]) })).toThrow(
      /seed must have the loss's shape \[T\], got \[1\]/,
    );
  });

  it("can be repeated", async () => {
    const [first] = differentiate(b.mul(b.mul(x, x), x), [x]);
    expect(await numbers(differentiate(first!, [x]), [2, 3])).toEqual([[12, 18]]);
  });

  it("shares the gradient of a peak among equal numbers, and gives that of equal maximums to the first", async () => {
    expect(await numbers(differentiate(b.peak(x, { axis: 0 }), [x]), [3, 3])).toEqual([[0.5, 0.5]]);
    const same = b.scale(x, { by: 1 });
    expect(await numbers(differentiate(b.maximum(x, same), [x, same]), [3, 4])).toEqual([
      [1, 1],
      [0, 0],
    ]);
  });

  it("gives zeros where the loss does not depend on a value, and ones for itself", async () => {
    const other = b.scale(x, { by: 3 });
    expect(await numbers(differentiate(b.exp(x), [other]), [2, 3])).toEqual([[0, 0]]);
    expect(await numbers(differentiate(x, [x]), [2, 3])).toEqual([[1, 1]]);
    expect(await numbers(differentiate(b.mul(b.less(x, other), x), [x]), [2, 3])).toEqual([[1, 1]]);
  });

  it("builds nothing for frozen weights", () => {
    const rows = b.input("rows", { shape: [symbol("T"), 4], type: "f32" });
    const [low, high] = [b.weight("low", [4, 4]), b.weight("high", [4, 4])];
    const [dx] = differentiate(b.matmul(b.matmul(rows, low), high), [rows]);
    expect(inOrder([dx!]).filter(({ op }) => op === "matmul")).toHaveLength(2);
  });

  it("refuses ops without a gradient, and ids", () => {
    const rows = b.input("rows", { shape: [symbol("T"), 4], type: "f32" });
    const ids = (name: string, shape: Value["shape"]): Value => b.input(name, { shape, type: "i32" });
    const y = b.cacheAttention(
      rows,
      rows,
      rows,
      ids("positions", [symbol("T")]),
      ids("rowOffsets", [2]),
      ids("contextLengths", [1]),
      ids("pageTable", [1, 1]),
      {
        heads: 1,
        keyValueHeads: 1,
        headSize: 4,
        scale: 1,
        layer: 0,
      },
    );
    expect(() => differentiate(y, [rows])).toThrow(/cacheAttention: cannot be differentiated/);
    expect(() => differentiate(y, [b.argmax(rows)])).toThrow(/only f32 values have gradients, got i32 from argmax/);
  });

  it("follows graphs deeper than the call stack", () => {
    let deep = x;
    for (let i = 0; i < 20_000; i++) deep = b.exp(deep);
    expect(inOrder(differentiate(deep, [x])).length).toBeGreaterThan(20_000);
  });
});

import { expect, it } from "vitest";
import { createBuilder } from "../../src/ops/builder.ts";
import { plus, symbol, times } from "../../src/graph/dim.ts";
import { printGraph } from "../../src/graph/print.ts";

it("prints a value a line, with symbols, attributes and outputs", () => {
  const b = createBuilder();
  const x = b.input("x", { shape: [symbol("T"), 8], type: "f32" });
  const flat = b.reshape(x, { shape: [times(symbol("T"), 2), 4] });
  const rowOffsets = b.input("rowOffsets", { shape: [plus(symbol("S"), 1)], type: "i32" });
  const y = b.attention(x, x, x, rowOffsets, {
    heads: 8,
    keyValueHeads: 8,
    headSize: 1,
    scale: 1,
    causal: true,
    slopes: [1, 2, 3, 4, 5, 6, 7, 8],
  });
  expect(
    printGraph({
      outputs: new Map([
        ["flat", flat],
        ["y", y],
      ]),
    }),
  ).toBe(
    [
      "%0 f32[T, 8] = input(name=x)",
      "%1 f32[2T, 4] = reshape(%0, shape=[2T,4])",
      "%2 i32[S+1] = input(name=rowOffsets)",
      "%3 f32[T, 8] = attention(%0, %0, %0, %2, heads=8, keyValueHeads=8, headSize=1, scale=1, causal=true, slopes=[1,2,3,4,5,6,..])",
      "flat <- %1",
      "y <- %3",
    ].join("\n"),
  );
});

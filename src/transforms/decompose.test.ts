import { expect, it } from "vitest";
import { symbol } from "../graph/dim.ts";
import { inOrder } from "../graph/value.ts";
import { createBuilder } from "../ops/builder.ts";
import { decompose } from "./decompose.ts";

const b = createBuilder();
const x = b.input("x", { shape: [symbol("T"), 4], type: "f32" });
const graph = {
  outputs: new Map([
    ["y", b.softmax(b.activation(b.exp(x), { kind: "silu" }))],
    ["x", x],
  ]),
};
const opsOf = (chosen: typeof graph): string[] => [...new Set(inOrder(chosen.outputs.values()).map(({ op }) => op))];

it("replaces every fused op, also those that only appear on the way", () => {
  const ops = opsOf({ outputs: new Map(decompose(graph).outputs) });
  expect(ops).not.toContain("softmax");
  expect(ops).not.toContain("activation");
  expect(ops).toContain("tanh");
});

it("replaces only those that are chosen, and keeps the rest as it is", () => {
  const chosen = decompose(graph, ({ op }) => op === "softmax");
  expect(opsOf({ outputs: new Map(chosen.outputs) })).toContain("activation");
  expect(chosen.outputs.get("x")).toBe(x);
  expect(decompose(graph, () => false).outputs).toEqual(graph.outputs);
});

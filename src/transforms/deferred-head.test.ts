import { describe, expect, test } from "vitest";
import { symbol } from "../graph/dim.ts";
import { type Graph, inOrder, sourceName, type Value } from "../graph/value.ts";
import { verifyGraph } from "../graph/verify.ts";
import { createBuilder, opRules } from "../ops/builder.ts";
import type { Builder } from "../ops/op.ts";
import { deferHead } from "./deferred-head.ts";

/** A graph that ends in a head over rows that are read of [T, 64]. */
function graphWith(head: (b: Builder, hidden: Value, table: Value) => Value, width = 64): Graph {
  const b = createBuilder();
  const x = b.input("x", { shape: [symbol("T"), width], type: "f32" });
  const hidden = b.rmsNorm(b.gather(x, b.input("outputRows", { shape: [symbol("R")], type: "i32" })), b.weight("norm", [width]), {
    epsilon: 1e-6,
  });
  return { outputs: new Map([["logits", head(b, hidden, b.weight("table", [100, width]))]]) };
}

const opsOf = (graph: Graph): string[] => inOrder(graph.outputs.values()).map(({ op }) => op);

describe("deferHead", () => {
  test("makes a shortlist of one row, and a head of any number of rows, with the same maps behind both", () => {
    const deferred = deferHead(
      graphWith((b, x, w) => b.scale(b.tanh(b.scale(b.matmul(x, w), { by: 0.25 })), { by: 4 })),
      10,
    )!;
    for (const graph of [deferred.shortlist, deferred.head]) verifyGraph(graph, opRules);
    expect([deferred.vocabulary, deferred.width]).toEqual([100, 64]);
    const { shortlist, head } = deferred;
    expect(shortlist.outputs.get("hidden")!.shape).toEqual([1, 64]);
    expect(shortlist.outputs.get("shortIds")).toMatchObject({ op: "routeIds", shape: [1, 10], type: "i32" });
    expect(opsOf(shortlist).slice(-4)).toEqual(["pickedMatmul", "scale", "tanh", "scale"]);
    expect(shortlist.outputs.get("shortLogits")!.shape).toEqual([1, 10]);
    expect(opsOf(head)).toEqual(["input", "weight", "matmul", "scale", "tanh", "scale", "argmax"]);
    expect(head.outputs.get("logits")!.shape).toEqual([symbol("R"), 100]);
    const weights = [shortlist, head].map((graph) =>
      inOrder(graph.outputs.values())
        .filter((v) => v.op === "weight")
        .map(sourceName),
    );
    expect(weights).toEqual([["norm", "table"], ["table"]]);
  });

  test.each<[string, Graph, number]>([
    ["a bias on the logits", graphWith((b, x, w) => b.add(b.matmul(x, w), b.weight("bias", [100]))), 10],
    ["a map that turns the order round", graphWith((b, x, w) => b.scale(b.matmul(x, w), { by: -1 })), 10],
    ["a table that is computed", graphWith((b, x, w) => b.matmul(x, b.scale(w, { by: 2 }))), 10],
    ["rows that are no whole blocks", graphWith((b, x, w) => b.matmul(x, w), 48), 10],
    ["a vocabulary smaller than the shortlist", graphWith((b, x, w) => b.matmul(x, w)), 101],
    ["no logits", { outputs: new Map() }, 10],
  ])("leaves alone: %s", (_, graph, count) => {
    expect(deferHead(graph, count)).toBeUndefined();
  });
});

import { expect, test } from "vitest";
import { openFixture } from "../../../testing/families.ts";
import { symbol } from "../../graph/dim.ts";
import { type Graph, valuesOf } from "../../graph/value.ts";
import { verifyGraph } from "../../graph/verify.ts";
import { openModel } from "../../models/index.ts";
import { createBuilder, opRules } from "../../ops/builder.ts";
import { byPattern, chooseLinears, linearsOf, rewriteLinears } from "./targets.ts";

async function graphOf(name: string): Promise<Graph> {
  const checkpoint = await openFixture({ name, kind: "huggingface" });
  const graph = openModel(checkpoint).graphs()["score"]!;
  await checkpoint.close();
  return graph;
}
const names = (graph: Graph, targets: string | readonly string[]): string[] =>
  chooseLinears(graph, targets, "test").map(({ name }) => name);
const badArgument = (message: RegExp): unknown =>
  expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) });

test("targets are names, ends of names, and the names of Hugging Face", async () => {
  const llama = await graphOf("llama-2");
  expect(names(llama, "attention.query")).toEqual(["layers.0.attention.query", "layers.1.attention.query"]);
  expect(names(llama, "layers.1.attention.query")).toEqual(["layers.1.attention.query"]);
  expect(names(llama, ["q_proj", "mlp.down"])).toEqual(names(llama, "down_proj, query"));
  expect(names(llama, "model.layers.1.self_attn.o_proj")).toEqual(["layers.1.attention.output"]);
  expect(names(llama, "lm_head")).toEqual(["head"]);
});

test("all-linear leaves out the head, the embedding and routers", async () => {
  expect(names(await graphOf("llama-2"), "all-linear")).toHaveLength(14);
  expect(names(await graphOf("qwen-2"), "all-linear")).toHaveLength(14);
  expect(names(await graphOf("gpt-2"), "all-linear")).toHaveLength(12);
  expect(new Set(names(await graphOf("mixtral"), "all-linear").map((name) => name.split(".")[2]))).toEqual(new Set(["attention"]));
});

test("one of GPT-2's names means two products, told apart by the path", async () => {
  const gpt2 = await graphOf("gpt-2");
  expect(names(gpt2, "c_proj")).toHaveLength(4);
  expect(names(gpt2, "transformer.h.1.mlp.c_proj")).toEqual(["layers.1.mlp.down"]);
  expect(() => names(gpt2, "c_attn")).toThrow(badArgument(/"c_attn" holds query, key, value side by side.*name query, key, value/));
});

test("a target that fits nothing is an error naming the nearest", async () => {
  const llama = await graphOf("llama-2");
  expect(() => names(llama, "q_prj")).toThrow(
    badArgument(/test: no linear is called "q_prj", did you mean "q_proj"\?; there are attention.query, /),
  );
  expect(() => names(llama, "all-linears")).toThrow(badArgument(/did you mean "all-linear"/));
  expect(() => names(llama, [])).toThrow(badArgument(/no targets/));
  expect(() => names(llama, " ")).toThrow(badArgument(/no targets/));
  expect(() => byPattern(llama, chooseLinears(llama, "query", "test"), { key: 3 }, "test")).toThrow(badArgument(/"key"/));
});

test("a pattern says something of the linears that its keys name, the first that fits", async () => {
  const llama = await graphOf("llama-2");
  const found = byPattern(llama, chooseLinears(llama, "query,key", "test"), { "layers.0.attention.query": 2, q_proj: 4 }, "test");
  expect([...found]).toEqual([
    ["layers.0.attention.query", 2],
    ["layers.1.attention.query", 4],
  ]);
});

test("rewriting changes the named products and no others, and what is added is no linear", async () => {
  const llama = await graphOf("llama-2");
  const changed = rewriteLinears(llama, names(llama, "query"), (b, { name, x, y }) =>
    b.add(y, b.matmul(x, b.weight(`${name}.more`, [64, 64]))),
  );
  verifyGraph(changed, opRules);
  expect(valuesOf(changed)).toHaveLength(valuesOf(llama).length + 6);
  expect(linearsOf(changed)).toEqual(linearsOf(llama));
  expect(() => rewriteLinears(llama, ["layers.9.mlp.up"], (_, { y }) => y)).toThrow(expect.objectContaining({ code: "FRUGAL_NOT_FOUND" }));
});

test("graphs without logits have linears too", () => {
  const b = createBuilder();
  const y = b.matmul(b.input("x", { shape: [symbol("T"), 4], type: "f32" }), b.weight("up", [3, 4]));
  expect(chooseLinears({ outputs: new Map([["y", y]]) }, "all-linear", "test")).toEqual([{ name: "up", outputs: 3, inputs: 4 }]);
});

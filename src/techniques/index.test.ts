import { expect, test } from "vitest";
import { neededBy, openTrainable, packTexts } from "../../testing/tuning.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { type Graph, sourceName, valuesOf } from "../graph/value.ts";
import { verifyGraph } from "../graph/verify.ts";
import { opRules } from "../ops/builder.ts";
import { techniques, tuningTechnique, tuningTechniques } from "./index.ts";

const badArgument = (message: RegExp): unknown =>
  expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) });

test.each(Object.entries(tuningTechniques))("%s says what it is, by the name it has in the list", (name, { make, example }) => {
  const { paper, survey, ...technique } = make(example);
  expect(technique.name).toBe(name);
  expect(paper.title.length * paper.authors.length).toBeGreaterThan(0);
  expect(paper.url).toMatch(/^https:\/\//);
  expect(paper.year).toBeGreaterThan(1980);
  expect(survey).toMatch(/^4\.2 tuning: (additive|selective|re-parameterised|full, memory-light)$/);
});

test("an unknown technique is an error naming the nearest", () => {
  expect(() => tuningTechnique("lroa")).toThrow(badArgument(/there is no "lroa", did you mean "lora"\?; there are lora, rslora/));
  expect(() => tuningTechnique("toString")).toThrow(badArgument(/no "toString"/));
  expect(() => tuningTechnique("lora", { rnk: 1 })).toThrow(badArgument(/"rnk"; did you mean rank/));
  expect(tuningTechnique("lora", { rank: 2 }).name).toBe("lora");
});

test.each(Object.entries(tuningTechniques))(
  "%s fits a tiny model: something is trained, and the loss is a number",
  async (_, { make, example }) => {
    const { trainable, context, close } = await openTrainable("qwen-2");
    const tuned = await make(example).apply(trainable, context);
    expect(tuned.trained.size).toBeGreaterThan(0);
    for (const name of tuned.trained) expect(tuned.weights.has(name), name).toBe(true);
    verifyGraph(tuned.graph, opRules);
    const { inputs, symbols } = packTexts([[5, 9, 7, 6]], tuned.virtualTokens);
    const loaded = await createReferenceBackend().load({ score: tuned.graph }, tuned.weights, { caps: symbols });
    const { logits } = await loaded.run({ program: "score", symbols, inputs: neededBy(tuned.graph, inputs) });
    expect(logits!.every(Number.isFinite)).toBe(true);
    await loaded.dispose();
    await close();
  },
);

test.each(Object.entries(tuningTechniques))("%s changes the graph that serves as it changes the other", async (_, { make, example }) => {
  const { model, trainable, context, close } = await openTrainable("qwen-2");
  const { serve, apply } = make(example);
  const tuned = await apply(trainable, context);
  const generate = model.graphs()["generate"]!;
  const served = serve?.(generate) ?? generate;
  verifyGraph(served, opRules);
  expect(weightsIn(served)).toEqual(weightsIn(tuned.graph));
  await close();
});

const weightsIn = (graph: Graph): string[] =>
  valuesOf(graph)
    .flatMap((value) => (value.op === "weight" ? [sourceName(value)] : []))
    .toSorted();

test("programs have the same by functions, which note their options", () => {
  const names = Object.keys(tuningTechniques).map((name) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()));
  expect(Object.keys(techniques)).toEqual(names);
  expect(techniques.lora({ rank: 3 })).toMatchObject({ name: "lora", options: { rank: 3 } });
  expect(techniques.loraPlus()).toMatchObject({ name: "lora-plus", options: {} });
  expect(() => techniques.lora({ rank: 0 })).toThrow(badArgument(/rank is 0/));
});

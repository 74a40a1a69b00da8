import { expect, test } from "vitest";
import { readRecipe } from "./recipe.ts";

const read = (recipe: unknown): unknown =>
  readRecipe("r.json", new TextEncoder().encode(typeof recipe === "string" ? recipe : JSON.stringify(recipe)));
const least = { model: "m", data: "d.jsonl" };

test("what is right is read as it is", () => {
  const recipe = {
    ...least,
    data: ["a.jsonl", { file: "b.txt", separator: "---" }],
    technique: { name: "lora", rank: 4 },
    optimizer: { name: "adamw", betas: [0.9, 0.99] },
    schedule: "cosine",
    preference: { beta: 0.2 },
  };
  expect(read(recipe)).toEqual(recipe);
});

test.each([
  ["not JSON", '{"model": "m",\n "data": }', /r\.json: line 2, column 10: /],
  ["no object", "[1]", /an object should stand here/],
  ["a key twice", '{"model":"a","model":"b","data":"d"}', /the key "model" is there twice/],
  ["nothing to learn from", { model: "m" }, /r\.json: data is missing; give/],
  ["no model", { data: "d" }, /r\.json: model is missing/],
  ["an unknown key", { ...least, learning_rate: 1 }, /r\.json: learning_rate is not known; did you mean learningRate\?/],
  ["a key like none", { ...least, qqqqqqqqqqqq: 1 }, /qqqqqqqqqqqq is not known; there are model, data/],
  ["a key in a part", { ...least, preference: { bta: 1 } }, /preference\.bta is not known; did you mean preference\.beta\?/],
  ["a kind of number", { ...least, steps: 1.5 }, /steps is 1\.5; give a whole number from 1 on/],
  ["a number that is text", { ...least, steps: "3" }, /steps is "3"; give a whole number from 1 on/],
  ["too small a number", { ...least, steps: 0 }, /steps is 0; give a whole number from 1 on/],
  ["no rate", { ...least, learningRate: 0 }, /learningRate is 0; give a number above 0/],
  ["a share above 1", { ...least, floor: 2 }, /floor is 2; give a number from 0 on and at most 1/],
  ["an unknown choice", { ...least, schedule: "cosin" }, /schedule is "cosin"; did you mean "cosine"\?/],
  ["an unknown optimizer", { ...least, optimizer: { name: "adam-w" } }, /optimizer\.name is "adam-w"; did you mean "adamw"\?/],
  ["an empty list", { ...least, data: [] }, /data is an empty list; give/],
  ["a list with something else", { ...least, data: ["a", 3] }, /data\[1\] is 3; give a text/],
  ["null", { ...least, seed: null }, /seed is null; give a whole number/],
  ["a model without configuration", { ...least, model: {} }, /model\.config is missing/],
])("%s", (_, recipe, message) => {
  expect(() => read(recipe)).toThrow(message);
});

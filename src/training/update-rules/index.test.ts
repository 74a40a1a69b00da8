/** Names and options of rules come from recipes: whatever is not known is refused in words that help. */
import { expect, it } from "vitest";
import { createOptimizer, createUpdateRule, optimizerNames, updateRuleNames } from "./index.ts";

it("makes every rule, under its own name", () => {
  for (const name of updateRuleNames) expect(createUpdateRule(name).name).toBe(name);
});

it("tells what needs gradients from what needs losses alone", () => {
  expect(optimizerNames.filter((name) => createOptimizer(name).needs === "losses")).toEqual(["mezo"]);
  expect(() => createOptimizer("mezzo")).toThrow(/no "mezzo"; did you mean "mezo"/);
  expect(() => createOptimizer("mezo", { epsilon: 0 })).toThrow(/epsilon is 0/);
  expect(() => createUpdateRule("mezo")).toThrow(/no "mezo"/);
});

it("only those that need one gradient and nothing else are done on the way back", () => {
  expect(updateRuleNames.filter((name) => createUpdateRule(name).fusesIntoBackward === true)).toEqual(["lomo", "adalomo"]);
});

it.each([
  ["adamv", {}, /no "adamv"; did you mean "adamw"/],
  ["toString", {}, /no "toString"/],
  ["gradient descent with everything", {}, /there are adamw, adamw-8bit, sgd, lion/],
  ["adamw", { weightDeccay: 1 }, /unknown option "weightDeccay"; did you mean weightDecay/],
  ["adamw", { betas: [0.9] }, /adamw: betas is \[0.9\]; give 2 numbers at least 0 and below 1/],
  ["adamw", { betas: [0.9, 1] }, /give 2 numbers at least 0 and below 1/],
  ["adamw", { epsilon: 0 }, /epsilon is 0; give a number above 0/],
  ["adamw-8bit", { minimumSize: -1 }, /minimumSize is -1; give a number at least 0/],
  ["sgd", { momentum: "0.9" }, /sgd: momentum is "0.9"; give a number/],
  ["sgd", { nesterov: 1 }, /nesterov is 1; give true or false/],
  ["sgd", { nesterov: true }, /sgd with nesterov: momentum is 0; give a number above 0 and below 1/],
  ["adafactor", { decayRate: 0.8 }, /decayRate is 0.8; give a number below 0/],
  ["adafactor", { warmupInit: true }, /warmupInit needs relativeStep/],
  ["lomo", { clipValue: Number.NaN }, /clipValue is NaN; give a number above 0/],
  ["adalomo", { relativeStep: true }, /unknown option "relativeStep"/],
])("refuses %s with %j", (name, options, message) => {
  expect(() => createUpdateRule(name, options)).toThrow(message);
});

import { expect, test } from "vitest";
import { checkOptions, flag, notNegative, oneOf, positive, recordOf, text, textOrTexts, wholeNumber } from "./options.ts";

const rules = {
  rank: wholeNumber(1),
  rate: positive,
  weight: notNegative,
  on: flag,
  format: text,
  targets: textOrTexts,
  kind: oneOf("a", 2),
  pattern: recordOf(wholeNumber(1)),
};
const badArgument = (message: RegExp): unknown =>
  expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) });

test("what fits is let through, and undefined is absent", () => {
  checkOptions("test", { rank: 3, rate: 0.1, weight: 0, on: false, format: "F", targets: ["x"], kind: 2, pattern: { x: 1 } }, rules);
  checkOptions("test", { rank: undefined, targets: "x", kind: "a" }, rules);
});

test.each([
  [{ rank: 0 }, /test: rank must be a whole number of at least 1, got 0/],
  [{ rank: "8" }, /got "8"/],
  [{ rank: NaN }, /got NaN/],
  [{ rate: 0 }, /a positive number, got 0/],
  [{ weight: -1 }, /at least 0, got -1/],
  [{ on: 1 }, /true or false/],
  [{ format: 4 }, /a text, got 4/],
  [{ targets: ["x", 1] }, /a list of texts/],
  [{ kind: "b" }, /one of "a", 2, got "b"/],
  [{ pattern: { x: 0 } }, /a record with values that are a whole number/],
  [{ pattern: [1] }, /a record/],
  [{ format: Array.from({ length: 99 }, () => "long") }, /\.\.\.$/],
  [{ rnk: 8 }, /has no option "rnk", did you mean "rank"\?; it has rank, rate/],
  [{ toString: 8 }, /has no option "toString"/],
])("what does not fit is named: %j", (options, message) => {
  expect(() => checkOptions("test", options, rules)).toThrow(badArgument(message));
});

test("a technique without options says so", () => {
  expect(() => checkOptions("test", { x: 1 }, {})).toThrow(badArgument(/it has none/));
});

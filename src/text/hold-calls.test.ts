import { expect, test } from "vitest";
import { type CallsWanted, holdCalls } from "./hold-calls.ts";

const passed = (wanted: CallsWanted, ...texts: string[]): [string[], boolean] => {
  const hold = holdCalls(wanted);
  return [texts.map((text) => hold.push(text)), hold.isHolding()];
};

test("text passes where no calls are wanted", () => {
  expect(passed("none", '{"na', "me")).toEqual([['{"na', "me"], false]);
});

test("what begins as a call is held, also while its mark is incomplete", () => {
  expect(passed("may", " ", '{"name"', ": 1}")).toEqual([["", "", ""], true]);
  expect(passed("may", "<tool", "_call>{}")).toEqual([["", ""], true]);
});

test("what turns out to be text is sent from its beginning", () => {
  expect(passed("may", "<to", "gether", " {")).toEqual([["", "<together", " {"], false]);
  expect(passed("may", "Hello", " {}")).toEqual([["Hello", " {}"], false]);
});

test("where calls must come all is held", () => {
  expect(passed("must", "Hello")).toEqual([[""], true]);
});

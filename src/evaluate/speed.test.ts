import { expect, test } from "vitest";
import { togetherSpeed } from "./speed.ts";

test("texts written together count while all are being written", () => {
  // Times in milliseconds: after 30 and up to 50, two tokens of each.
  expect(
    togetherSpeed([
      [10, 20, 30, 40, 50, 60],
      [30, 40, 50],
    ]),
  ).toBe((4 * 1000) / 20);
});

test("and where they never are, from the first token to the last", () => {
  expect(
    togetherSpeed([
      [10, 20],
      [30, 40],
    ]),
  ).toBe((3 * 1000) / 30);
});

import { expect, test } from "vitest";
import { createFairShare } from "./fair-share.ts";

test("who comes back starts from the least served of those present", () => {
  const share = createFairShare();
  share.arrive("a");
  share.arrive("a");
  share.charge("a", 100);
  share.arrive("b");
  expect([share.service("a"), share.service("b")]).toEqual([100, 100]);
  share.charge("b", 50);
  share.leave("a");
  share.charge("a", 10);
  share.arrive("c");
  expect([share.service("a"), share.service("c")]).toEqual([110, 110]);
  for (const tenant of ["a", "b", "c"]) share.leave(tenant);
  share.arrive("d");
  expect(share.service("d")).toBe(110);
});

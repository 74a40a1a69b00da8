import { expect, test } from "vitest";
import { createPages } from "./pages.ts";

test("pages are handed out once, shared, and freed by the last holder", () => {
  const pages = createPages(2);
  const [a, b] = [pages.take()!, pages.take()!];
  expect(a).not.toBe(b);
  expect(pages.take()).toBeUndefined();
  pages.share(a);
  expect(pages.holders(a)).toBe(2);
  pages.giveBack(a);
  expect(pages.free()).toBe(0);
  pages.giveBack(a);
  expect(pages.free()).toBe(1);
  expect(() => pages.giveBack(a)).toThrow(/not held/);
  expect(() => pages.share(a)).toThrow(/not held/);
});

test("pages nobody took cost nothing", () => {
  const pages = createPages(2 ** 40);
  const [a, b] = [pages.take(), pages.take()];
  expect([a, b, pages.free()]).toEqual([0, 1, 2 ** 40 - 2]);
  pages.giveBack(a!);
  expect([pages.free(), pages.take()]).toEqual([2 ** 40 - 1, 0]);
});

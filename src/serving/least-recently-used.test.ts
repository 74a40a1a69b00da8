import { expect, test } from "vitest";
import { leastRecentlyUsed } from "./least-recently-used.ts";

test("the one untouched for longest comes first; what is not due is passed over", () => {
  const due = new Set(["a", "b", "c"]);
  const list = leastRecentlyUsed((item: string) => due.has(item));
  for (const item of ["a", "b", "c", "a"]) list.touch(item);
  due.delete("b");
  expect([list.take(), list.take(), list.take()]).toEqual(["c", "a", undefined]);
});

test("in any number of touches and takes, the order holds", () => {
  const list = leastRecentlyUsed(() => true);
  for (let i = 0; i < 10; i++) list.touch({ number: i });
  for (let i = 0; i < 1000; i++) {
    list.touch({ number: 10 + i });
    expect(list.take()).toEqual({ number: i });
  }
});

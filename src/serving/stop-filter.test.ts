import fc from "fast-check";
import { expect, test } from "vitest";
import { stopFilter } from "./stop-filter.ts";

test("what pieces let through is what lies before the first stop", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
  fc.assert(
    fc.property(
      letters,
      fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), { maxLength: 3 }),
      fc.array(fc.nat(4)),
      (text, stops, sizes) => {
        const filter = stopFilter(stops);
        let passed = "";
        let stop: string | undefined;
        let at = 0;
        for (const size of [...sizes, text.length]) {
          const result = filter.push(text.slice(at, at + size));
          at += size;
          passed += result.text;
          stop ??= result.stop;
          expect(text.startsWith(passed)).toBe(true);
        }
        passed += filter.end();
        // With pieces, a stop that is complete earlier is found earlier, even where a longer one began before it.
        if (stop === undefined) expect(passed).toBe(text);
        else expect(text.startsWith(passed + stop)).toBe(true);
        for (const s of stops) expect(passed.includes(s)).toBe(false);
        expect(stop === undefined).toBe(!stops.some((s) => text.includes(s)));
      },
    ),
  );
});

test("only what may become a stop waits", () => {
  const filter = stopFilter(["END", "\n\n"]);
  expect(filter.push("one E")).toEqual({ text: "one " });
  expect(filter.push("N")).toEqual({ text: "" });
  expect(filter.push("O\n")).toEqual({ text: "ENO" });
  expect(filter.push("\nrest")).toEqual({ text: "", stop: "\n\n" });
  expect(filter.push("more")).toEqual({ text: "" });
  expect(filter.end()).toBe("");
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sampling } from "../../serving/sampling.ts";
import { promptLookup, type PromptLookupOptions } from "./prompt-lookup.ts";

const propose = (tokens: readonly number[], most: number, options: PromptLookupOptions = {}): readonly number[] =>
  promptLookup(options).start(sampling({}, 100)).propose(tokens, most) as readonly number[];

describe("proposals", () => {
  test("what followed the last tokens before", () => {
    expect(propose([1, 2, 3, 4, 5, 9, 2, 3], 2)).toEqual([4, 5]);
    expect(propose([1, 2, 3, 4], 4)).toEqual([]);
    expect(propose([], 4)).toEqual([]);
    expect(propose([7], 4)).toEqual([]);
  });
  test("a repetition goes on", () => {
    expect(propose([8, 1, 2, 3, 1, 2, 3], 5)).toEqual([1, 2, 3, 1, 2]);
    expect(propose([5, 5, 5], 3)).toEqual([5, 5, 5]);
  });
  test("the longest agreement wins, then the latest place", () => {
    expect(propose([9, 1, 2, 50, 8, 1, 2, 60, 9, 1, 2], 1)).toEqual([50]);
    expect(propose([7, 1, 2, 50, 8, 1, 2, 60, 9, 1, 2], 1)).toEqual([60]);
  });
});

describe("options", () => {
  const text = [9, 1, 2, 50, 8, 1, 2, 60, 7, 1, 2, 60, 6, 1, 2, 70, 9, 1, 2];
  test("shortest: fewer tokens than that prove nothing", () => {
    expect(propose([1, 2, 3, 8, 2], 1, { shortest: 1 })).toEqual([3]);
    expect(propose([1, 2, 3, 8, 2], 1)).toEqual([]);
    expect(propose(text, 1, { shortest: 4 })).toEqual([]);
  });
  test("longest: agreement beyond it counts no more", () => {
    expect(propose(text, 1)).toEqual([50]);
    expect(propose(text, 1, { longest: 2 })).toEqual([70]);
  });
  test("choose: the most frequent of equals", () => {
    expect(propose(text, 1, { longest: 2, choose: "frequent" })).toEqual([60]);
    expect(propose(text, 3, { longest: 2, choose: "frequent" })).toEqual([60, 6, 1]);
  });
  test("places: only so many are looked at", () => {
    expect(propose(text, 1, { places: 1 })).toEqual([70]);
  });
  test.each<[PromptLookupOptions, RegExp]>([
    [{ shortest: 0 }, /shortest is 0/],
    [{ longest: 1 }, /longest is 1; give a whole number from 2/],
    [{ places: 0 }, /places is 0/],
    [{ choose: "rare" as never }, /choose is "rare"; it may be recent or frequent/],
    [{ shortst: 2 } as never, /did you mean shortest/],
  ])("%j is refused", (options, message) => {
    expect(() => promptLookup(options)).toThrow(
      expect.objectContaining({ code: "FRUGAL_BAD_ARGUMENT", message: expect.stringMatching(message) }),
    );
  });
});

test("asked step by step or at once, it proposes what a search of the whole text finds", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), fc.nat(10), (tokens, shortest, first) => {
      const options = { shortest, longest: 8, places: 1000 };
      const strategy = promptLookup(options).start(sampling({}, 4));
      for (let length = Math.min(first, tokens.length); length <= tokens.length; length++) {
        const known = tokens.slice(0, length);
        let [best, bestLength] = [0, shortest - 1];
        for (let place = length - 1; place > 0; place--) {
          let agreed = 0;
          while (agreed < 8 && agreed < place && known[place - 1 - agreed] === known[length - 1 - agreed]) agreed++;
          if (agreed > bestLength) [best, bestLength] = [place, agreed];
        }
        const next = strategy.propose(known, 1) as number[];
        expect(next).toEqual(best > 0 ? [known[best]] : []);
      }
    }),
  );
});

test("another text in the same place begins anew", () => {
  const strategy = promptLookup().start(sampling({}, 100));
  expect(strategy.propose([1, 2, 3, 4, 1, 2], 1)).toEqual([3]);
  expect(strategy.propose([5, 6, 5], 1)).toEqual([]);
});

test("a proposal after 4,096 tokens takes microseconds", () => {
  const strategy = promptLookup().start(sampling({}, 100));
  const tokens = Array.from({ length: 4096 }, (_, i) => (i * i) % 97);
  void strategy.propose(tokens, 8);
  const started = performance.now();
  for (let i = 0; i < 500; i++) {
    tokens.push((i * 31) % 97);
    void strategy.propose(tokens, 8);
  }
  expect((performance.now() - started) / 500).toBeLessThan(0.2);
});

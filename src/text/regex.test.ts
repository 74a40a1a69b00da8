// Patterns mean what they mean in Oniguruma, on both engines; the counting one stops.
import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { FrugalError } from "../tensor/error.ts";
import * as patterns from "./patterns.ts";
import { textPattern } from "./regex.ts";
import { patternOf, splitAt } from "./split.ts";

const matches = (pattern: string, text: string, trusted: boolean): string[] => {
  const spans = textPattern(pattern, trusted).spans(text);
  return spans.flatMap((start, i) => (i % 2 === 0 ? [text.slice(start, spans[i + 1])] : []));
};

describe.each([true, false])("trusted: %s", (trusted) => {
  it.each<[string, string, string[]]>([
    ["\\s+", "a\u0085b\ufeffc\u3000d", ["\u0085", "\u3000"]],
    ["\\w+", "aé_1²½Ⅷ-x", ["aé_1²½Ⅷ", "x"]],
    ["\\d+", "1٢²", ["1٢"]],
    ["(?i:'s|k)", "'S'ſ K\u212a", ["'S", "'ſ", "K", "\u212a"]],
    ["(?i)ab(?-i)C", "aBC abc", ["aBC"]],
    ["^a$", "a\nb\na", ["a", "a"]],
    ["\\Aa|a\\z|a\\Z", "aba\n", ["a", "a"]],
    ["a.c", "abc a\nc", ["abc"]],
    ["\\bfoo\\b|o\\B", "foo oo_", ["foo", "o", "o"]],
    ["[^a-c\\s]+", "abcd ef", ["d", "ef"]],
    ["[a-z&&[^aeiou]]+", "hello", ["h", "ll"]],
    ["[\\p{Han}&&[^一]]+", "一二三a", ["二三"]],
    ["a++a|b", "aab", ["b"]],
    ["(?>a+)b", "aab", ["aab"]],
    ["a{2}|b{,2}c|d{1,}", "aaabbcddd", ["aa", "bbc", "ddd"]],
    ["(?<=a)b|c(?=d)|e(?!f)|(?<!x)y", "ab cd ce ef eg xy y", ["b", "c", "e", "e", "y"]],
    ["a+?b??", "aab", ["a", "a"]],
    ["[]a]+", "]a]", ["]a]"]],
    ["\\x41|\\x{1F600}|\\u00e9|\\.", "A😀é.", ["A", "😀", "é", "."]],
    ["\\P{L}+|\\p{^L}", "a12b", ["12"]],
    ["(?:ab)+|(?<n>c)d", "ababcd", ["abab", "cd"]],
    ["😀+", "😀😀", ["😀😀"]],
  ])("%s on %j", (pattern, text, expected) => expect(matches(pattern, text, trusted).filter((match) => match !== "")).toEqual(expected));

  it.each(["(", ")", "[a", "a\\", "*a", "[b-a]", "\\p{Nonsense}", "\\1", "(?#x)", "a{2000}", "[[:alpha:]]", "(".repeat(500), "\\k<a>"])(
    "%s is refused",
    (pattern) => {
      expect(() => textPattern(pattern, trusted)).toThrow(FrugalError);
    },
  );
});

it("both engines agree on the published patterns", () => {
  const published = Object.values<unknown>(patterns).filter(
    (pattern): pattern is string => typeof pattern === "string" && pattern !== patterns.digitGroups,
  );
  const text = fc.array(
    fc.constantFrom(
      "a",
      "B",
      "'s",
      "'LL",
      " ",
      "  ",
      "\n",
      "\r\n",
      "1",
      "234",
      "!",
      "/",
      "日",
      "か",
      "\u0301",
      "é",
      "ß",
      "😀",
      "<sentinel:1>",
      "\t",
      "\u00a0",
    ),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(fc.constantFrom(...published), text, (pattern, parts) => {
      const joined = parts.join("");
      expect(
        textPattern(pattern, true)
          .cut(joined)
          .filter((word) => word !== ""),
      ).toEqual(textPattern(pattern, false).cut(joined));
    }),
    { numRuns: 500 },
  );
});

it("digits are grouped from the right without a regular expression", () => {
  expect(patternOf(patterns.digitGroups).cut("a1234567b12")).toEqual(["a", "1", "234", "567", "b", "12"]);
  expect(patternOf(patterns.digitGroupsAtEdges).cut("a1234567b 1234")).toEqual(["a1234567b ", "1", "234"]);
  const started = performance.now();
  patternOf(patterns.digitGroups).cut("1".repeat(300_000));
  expect(performance.now() - started).toBeLessThan(3000);
});

it("splitAt keeps all that it does not remove", () => {
  const text = "ab-cd--e-";
  const spans = [2, 3, 5, 6, 6, 7, 8, 9];
  expect(splitAt(text, spans, "Isolated", false)).toEqual(["ab", "-", "cd", "-", "-", "e", "-"]);
  expect(splitAt(text, spans, "Removed", false)).toEqual(["ab", "cd", "e"]);
  expect(splitAt(text, spans, "Removed", true)).toEqual(["-", "-", "-", "-"]);
  expect(splitAt(text, spans, "MergedWithPrevious", false)).toEqual(["ab-", "cd-", "-", "e-"]);
  expect(splitAt(text, spans, "MergedWithNext", false)).toEqual(["ab", "-cd", "-", "-e", "-"]);
  expect(splitAt(text, spans, "Contiguous", false)).toEqual(["ab", "-", "cd", "--", "e", "-"]);
});

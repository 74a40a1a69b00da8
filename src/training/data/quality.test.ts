/** Each rule fails on a text made to break it, and only there. */
import { describe, expect, it } from "vitest";
import { documentRules, gopherRules, parseText, qualityFaults } from "./quality.ts";

const number = (i: number): string =>
  `${["north", "south", "east", "west", "upper"][i % 5]}${["field", "wood", "mill"][i % 3]}${"abcdefghijklm"[i % 13]}`;
/** Sentences that share no long run of words. */
const prose = (count: number, from = 0): string[] =>
  Array.from({ length: count }, (_, i) => {
    const [a, b, c, d, e] = [1, 7, 11, 17, 23].map((step) => number(step * (from + i) + step));
    return `The ${a} saw ${b} and ${c} that ${d} had with ${e}.`;
  });
const good = prose(12).join("\n");

const faults = (text: string): string[] => qualityFaults(text).map(({ rule }) => rule);
const measured = (rule: string, text: string): number => gopherRules.find(({ name }) => name === rule)!.measure(parseText(text));

describe("qualityFaults", () => {
  it("finds nothing wrong with prose", () => {
    expect(qualityFaults(good)).toEqual([]);
  });

  it.each([
    ["words", "The cat and the dog."],
    ["mean word length", `${"a b c d e f g ".repeat(20)}the and of`],
    ["hash signs a word", `${good} ${"#".repeat(40)}`],
    ["ellipses a word", `${good} ${"… ".repeat(20)}${"... ".repeat(20)}`],
    [
      "lines that begin with a bullet",
      prose(12)
        .map((line) => `• ${line}`)
        .join("\n"),
    ],
    [
      "lines that end with an ellipsis",
      prose(12)
        .map((line, i) => (i < 5 ? `${line}...` : line))
        .join("\n"),
    ],
    ["words with a letter", `${good} ${"123 ".repeat(60)}`],
    ["different stop words", "Les chats mangent souvent du poisson frais dans leur jardin. ".repeat(6)],
    ["repeated lines", `${good}\n${prose(12).join("\n")}`],
    ["repeated paragraphs", `${good}\n\n${"x\n\n".repeat(3)}`],
    ["characters in repeated lines", `${good}\n${prose(4).join("\n")}`],
    ["characters in repeated paragraphs", `${good}\n\n${good}`],
    ["characters in the commonest run of 2 words", `${good} ${"northern lights ".repeat(30)}`],
    ["characters in the commonest run of 3 words", `${good} ${"bright northern lights ".repeat(20)}`],
    ["characters in the commonest run of 4 words", `${good} ${"see bright northern lights ".repeat(20)}`],
    ["characters in repeated runs of 5 words", `${good} ${prose(5).join(" ")}`],
    ["characters in repeated runs of 10 words", `${good} ${prose(5).join(" ")}`],
  ])("%s", (rule, text) => {
    expect(faults(text)).toContain(rule);
    expect(faults(prose(12, 1).join("\n"))).not.toContain(rule);
  });

  it("says by how much", () => {
    expect(qualityFaults("The cat and the dog.", documentRules.slice(0, 1))).toEqual([
      { rule: "words", value: 5, least: 50, most: 100_000 },
    ]);
  });

  it("takes other rules", () => {
    const rules = [{ name: "letters", measure: ({ text }: { readonly text: string }) => text.length, most: 3 }];
    expect(qualityFaults("abc", rules)).toEqual([]);
    expect(qualityFaults("abcd", rules)).toEqual([{ rule: "letters", value: 4, most: 3 }]);
  });
});

describe("measures", () => {
  it("are exact", () => {
    expect(measured("repeated lines", "a\nb\na\na\n")).toBe(0.5);
    expect(measured("characters in repeated lines", "aa\nb\naa\nc")).toBeCloseTo(2 / 6);
    expect(measured("repeated paragraphs", "a\n\nb\n \na")).toBeCloseTo(1 / 3);
    // "of it" twice in 20 letters: 8 of them.
    expect(measured("characters in the commonest run of 2 words", "one of it two of it three")).toBeCloseTo(8 / 19);
    // Runs that overlap cover a letter once.
    expect(measured("characters in the commonest run of 2 words", "no no no no")).toBe(1);
    expect(measured("characters in repeated runs of 5 words", "a b c d e f a b c d e g")).toBeCloseTo(10 / 12);
    expect(measured("different stop words", "The end, AND the beginning (of that).")).toBe(4);
    expect(measured("mean word length", "ab abcd 🐈🐈")).toBeCloseTo(8 / 3);
  });

  it("of nothing are numbers", () => {
    for (const { measure } of gopherRules) expect(measure(parseText(""))).toBe(0);
  });
});

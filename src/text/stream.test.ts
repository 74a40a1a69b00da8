// Streamed parts join to the decoded whole, and no part holds half a character.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tokenizerFromJson } from "./from-json.ts";
import { streamText } from "./stream.ts";
import type { Tokenizer } from "./tokenizer.ts";

const load = (name: string): Tokenizer =>
  tokenizerFromJson(JSON.parse(readFileSync(new URL(`../../testing/fixtures/tokenizers/${name}.json`, import.meta.url), "utf8")).tokenizer);

describe.each(["gpt2", "llama2", "bert"])("%s", (name) => {
  const tokenizer = load(name);
  const parts = (ids: ArrayLike<number>, skipSpecial: boolean): string[] => {
    const stream = streamText(tokenizer, { skipSpecial });
    return [...Array.from(ids, (id) => stream.push(id)), stream.end()];
  };

  it("parts join to the whole, for any ids", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(tokenizer.vocabularySize - 1)), fc.boolean(), (ids, skipSpecial) => {
        expect(parts(ids, skipSpecial).join("")).toBe(tokenizer.decode(ids, { skipSpecial }));
      }),
    );
  });

  it("no part breaks a character of a text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const all = parts(tokenizer.encode(text), true);
        for (const part of all) expect(part.isWellFormed()).toBe(true);
        if (!text.includes("\ufffd") && name !== "bert") expect(all.join("")).not.toContain("\ufffd");
      }),
    );
  });
});

it("holds back an unfinished character and gives it up at the end", () => {
  const tokenizer = load("gpt2");
  const [first, ...rest] = tokenizer.encode("€");
  const stream = streamText(tokenizer);
  expect(rest.length).toBeGreaterThan(0);
  expect(stream.push(first!)).toBe("");
  expect(stream.end()).toBe("\ufffd");
  expect([first!, ...rest].map((id) => stream.push(id)).join("")).toBe("€");
});

it("leaves out the tokenizer's own first space, once, and special tokens where asked", () => {
  const tokenizer = load("llama2");
  const join = (ids: Int32Array, skipSpecial: boolean): string => {
    const stream = streamText(tokenizer, { skipSpecial });
    return Array.from(ids, (id) => stream.push(id)).join("") + stream.end();
  };
  expect(join(tokenizer.encode("  a"), true)).toBe("  a");
  expect(join(tokenizer.encode("a"), false)).toBe("<s> a</s>");
});

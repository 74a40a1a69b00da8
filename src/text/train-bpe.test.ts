// Merges against the tokenizers library's BpeTrainer (testing/oracles/merges_train.py).
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { trainMerges, type TrainOptions } from "./train-bpe.ts";

const fixtures = new URL("../../testing/fixtures/", import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, fixtures), "utf8"));
const texts = [...(read("tokenizers/texts.json") as string[]), readFileSync(new URL("../../LICENSE", import.meta.url), "utf8")];
const cases = read("merges.json") as (TrainOptions & { pieces: string[]; merges: string[] })[];

describe("learned merges", () => {
  it.each(cases)("of $vocabulary pieces seen $leastCount times are the library's", ({ pieces, merges, ...options }) => {
    const found = trainMerges(texts, options);
    expect(found.special).toBe(options.special!.length);
    expect(found.pieces.slice(256 + found.special)).toEqual(pieces);
    expect(found.merges.map((pair) => pair.join(" "))).toEqual(merges);
  });

  it("the order of texts changes nothing", () => {
    const options = { vocabulary: 400 };
    expect(trainMerges(texts.toReversed(), options)).toEqual(trainMerges(texts, options));
  });

  it("special pieces come first, then the bytes", () => {
    const { pieces, merges } = trainMerges(["ab ab"], { vocabulary: 258, special: ["<s>"] });
    expect(pieces[0]).toBe("<s>");
    expect(new Set(pieces.slice(1, 257)).size).toBe(256);
    expect(merges).toEqual([["a", "b"]]);
    expect(pieces[257]).toBe("ab");
  });

  it("ends where no pair is seen often enough", () => {
    expect(trainMerges(["abc abc abd"], { vocabulary: 300 }).merges).toEqual([
      ["a", "b"],
      ["Ġ", "ab"],
    ]);
    expect(trainMerges(["abc abc abd"], { vocabulary: 300, leastCount: 3 }).merges).toEqual([["a", "b"]]);
    expect(trainMerges([], { vocabulary: 300 }).pieces).toHaveLength(256);
    expect(trainMerges(["ab ab"], { vocabulary: 300, words: String.raw`\S` }).merges).toEqual([]);
  });

  it.each([
    [{ vocabulary: 255 }, /256 bytes and 0 special pieces need 256/],
    [{ vocabulary: 256, special: ["<s>"] }, /need 257/],
    [{ vocabulary: 3e6 }, /1048576 is the most/],
    [{ vocabulary: 300, leastCount: 0 }, /leastCount is 0/],
    [{ vocabulary: 300, special: ["<s>", "<s>"] }, /"<s>" is empty, a byte, or there twice/],
    [{ vocabulary: 300, special: ["a"] }, /"a" is empty, a byte/],
  ])("refuses %o", (options, message) => {
    expect(() => trainMerges(["a"], options)).toThrow(message);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { ByteSource } from "../tensor/source.ts";
import { cutCorpus } from "./corpus.ts";
import { besideRecipe, learnTokenizer, openRecipeData } from "./recipe-data.ts";

const folder = mkdtempSync(join(tmpdir(), "frugal-recipe-"));
afterAll(() => rmSync(folder, { recursive: true }));
const recipe = join(folder, "recipe.json");
const text = async (source: ByteSource): Promise<string> => new TextDecoder().decode(await source.read(0, source.byteLength));

describe("a recipe's data", () => {
  writeFileSync(join(folder, "rows.jsonl"), '{"text": "a"}\n');
  writeFileSync(join(folder, "texts.txt"), "one\n---\ntwo\n");

  it("are files of rows and of texts, seen from its folder", async () => {
    const data = await openRecipeData(recipe, ["rows.jsonl", { file: "texts.txt", separator: "---" }]);
    expect(await Promise.all(data.sources.map(text))).toEqual(['{"text": "a"}\n', '{"text":"one"}\n{"text":"two"}\n']);
    expect(data.corpora.map(({ texts }) => texts)).toEqual([["one", "two"]]);
    await data.close();
    const one = await openRecipeData(recipe, { file: "texts.txt" });
    expect(await text(one.sources[0]!)).toBe('{"text":"one\\n---\\ntwo"}\n');
    const rows = await openRecipeData(recipe, "rows.jsonl");
    expect(rows.corpora).toEqual([]);
    await rows.close();
  });

  it("say which file is missing", async () => {
    await expect(openRecipeData(recipe, ["rows.jsonl", "none.jsonl"])).rejects.toThrow(/none\.jsonl/);
  });

  it("may have absolute paths", () => {
    expect(besideRecipe(recipe, "/data/x.txt")).toBe("/data/x.txt");
    expect(besideRecipe("recipe.json", "x.txt")).toBe("x.txt");
    expect(besideRecipe(join("a", "b", "recipe.json"), "../x.txt")).toBe(join("a", "x.txt"));
  });
});

describe("a learned tokenizer", () => {
  const corpora = [cutCorpus("the cat, the cat and the dog", { file: "a" })];

  it("has the vocabulary asked for, with the pieces that begin and end texts", () => {
    const { tokenizer, files } = learnTokenizer({ vocabulary: 260, bos: "<s>", eos: "</s>" }, corpora);
    expect(tokenizer).toMatchObject({ vocabularySize: 260, bos: 0, eos: 1 });
    expect(tokenizer.encode("the")[0]).toBe(0);
    expect(files.config).toMatchObject({ bos_token: "<s>", eos_token: "</s>" });
    expect(learnTokenizer({ vocabulary: 260, bos: "<|e|>", eos: "<|e|>" }, corpora).tokenizer).toMatchObject({ bos: 0, eos: 0 });
    expect(learnTokenizer({ vocabulary: 258 }, corpora).tokenizer.bos).toBeUndefined();
  });

  it("needs text, and enough of it", () => {
    expect(() => learnTokenizer({ vocabulary: 260 }, [])).toThrow(/learned from plain text; name some in data/);
    expect(() => learnTokenizer({ vocabulary: 400 }, corpora)).toThrow(/the texts give a vocabulary of \d+, not 400/);
  });
});

// Tokenizers through GGUF metadata against the same tokenizers from JSON, and those learned here.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tokenizerFromMetadata } from "./from-gguf.ts";
import { tokenizerFromJson } from "./from-json.ts";
import { tokenizerMetadata } from "./to-gguf.ts";
import { trainMerges } from "./train-bpe.ts";
import { tokenizerFiles } from "./write-json.ts";

const folder = new URL("../../testing/fixtures/tokenizers/", import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const texts = read("texts.json") as string[];
const fixture = (name: string): unknown => (read(`${name}.json`) as { tokenizer: unknown }).tokenizer;
const end = "<|endoftext|>";
const merges = trainMerges(texts, { vocabulary: 400, special: [end, "<s>"] });
const llama3 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

describe("learned merges as files", () => {
  const files = tokenizerFiles(merges, { bos: end, eos: end });
  const tokenizer = tokenizerFromJson(files.tokenizer, files.config);

  it("texts begin with BOS and come back", () => {
    expect(tokenizer).toMatchObject({ vocabularySize: merges.pieces.length, bos: 0, eos: 0, addBos: true, addEos: false });
    expect([...tokenizer.endOfGeneration]).toEqual([0]);
    for (const text of texts) {
      const ids = tokenizer.encode(text);
      expect(ids[0]).toBe(0);
      expect(tokenizer.decode(ids, { skipSpecial: true })).toBe(text.toWellFormed());
    }
  });

  it("roles are special pieces, or none", () => {
    expect(() => tokenizerFiles(merges, { eos: "</s>" })).toThrow(
      /"<\/s>" is to begin or end texts, but the special pieces are <\|endoftext\|>, <s>/,
    );
    const plain = tokenizerFiles(merges);
    expect([...tokenizerFromJson(plain.tokenizer, plain.config).encode("a")]).toHaveLength(1);
    const begun = tokenizerFiles(merges, { bos: "<s>" });
    expect(tokenizerFromJson(begun.tokenizer, begun.config).encode("a")[0]).toBe(1);
  });

  it("words are cut as they were learned", () => {
    const cut = tokenizerFiles(merges, { words: llama3 });
    const metadata = tokenizerMetadata(cut.tokenizer, cut.config, 500);
    expect(metadata.get("tokenizer.ggml.pre")).toBe("dbrx");
    const [a, b] = [tokenizerFromJson(cut.tokenizer, cut.config), tokenizerFromMetadata(metadata)];
    for (const text of texts) expect([...b.encode(text)]).toEqual([...a.encode(text)]);
  });
});

describe("GGUF metadata", () => {
  it.each(["gpt2", "learned"])("of %s gives the same ids and text", (name) => {
    const files = tokenizerFiles(merges, { bos: end, eos: "<s>" });
    const [tokenizer, config] = name === "learned" ? [files.tokenizer, files.config] : [fixture(name), undefined];
    const from = tokenizerFromJson(tokenizer, config);
    const metadata = tokenizerMetadata(tokenizer, config, from.vocabularySize);
    const to = tokenizerFromMetadata(metadata);
    expect([to.bos, to.eos, to.addBos, to.addEos, to.vocabularySize]).toEqual([
      from.bos,
      from.eos,
      from.addBos,
      from.addEos,
      from.vocabularySize,
    ]);
    for (const parseSpecial of [false, true])
      for (const text of texts) {
        const ids = [...from.encode(text, { parseSpecial })];
        expect([...to.encode(text, { parseSpecial })], text).toEqual(ids);
        expect(to.decode(ids)).toBe(from.decode(ids));
      }
  });

  it("rows of the embedding beyond the vocabulary are unused pieces", () => {
    const { tokenizer, config } = tokenizerFiles(merges);
    const metadata = tokenizerMetadata(tokenizer, config, merges.pieces.length + 3);
    const types = metadata.get("tokenizer.ggml.token_type") as Int32Array;
    expect(Array.from(types.slice(-4))).toEqual([1, 5, 5, 5]);
    expect(Array.from(types.slice(0, 3))).toEqual([3, 3, 1]);
    expect(() => tokenizerMetadata(tokenizer, config, 300)).toThrow(/has 400 pieces, but the model has 300 embeddings/);
  });

  it.each([
    ["unigram", /"Unigram" cannot be said/],
    ["roberta", /add_prefix_space cannot be said/],
    ["llama2", /cannot be said in a GGUF file/],
  ])("refuses %s", (name, message) => {
    expect(() => tokenizerMetadata(fixture(name), undefined, 5000)).toThrow(message);
  });

  it("refuses words that it has no name for", () => {
    const { tokenizer, config } = tokenizerFiles(merges, { words: "[a-z]+" });
    expect(() => tokenizerMetadata(tokenizer, config, 400)).toThrow(/cuts by "\[a-z\]\+" cannot be said/);
    const file = tokenizerFiles(merges).tokenizer as { model: object };
    expect(() => tokenizerMetadata({ ...file, model: { ...file.model, ignore_merges: true } }, {}, 400)).toThrow(
      /with ignore_merges cannot/,
    );
    expect(() => tokenizerMetadata({ ...file, normalizer: { type: "NFC" } }, {}, 400)).toThrow(/a normalizer cannot be said/);
  });
});

// OpenAI's rank files against the vectors of gpt-tokenizer, and against GPT-2's own tokenizer.json.
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { sharedData } from "../../testing/shared.ts";
import { tokenizerFromJson } from "./from-json.ts";
import { gpt2, gpt4o, llama3 } from "./patterns.ts";
import { tokenizerFromRanks } from "./ranks.ts";

const ranks = sharedData("tokenizers/openai-bpe");
const json = sharedData("tokenizers/gpt2/tokenizer.json");
const encodings: Readonly<Record<string, string>> = {
  r50k_base: gpt2,
  p50k_base: gpt2,
  p50k_edit: gpt2,
  cl100k_base: llama3,
  o200k_base: gpt4o,
};
// p50k_edit has the ranks of p50k_base.
const fileOf = (name: string): string => `${ranks.path}/${name === "p50k_edit" ? "p50k_base" : name}.tiktoken`;

describe.skipIf(ranks.skip)("rank files (skipped without ../shared/data)", () => {
  const plans = existsSync(ranks.path)
    ? readFileSync(`${ranks.path}/TestPlans.txt`, "utf8")
        .split("EncodingName: ")
        .slice(1)
        .map((plan) => /^(\w+)\nSample: ([^]*)\nEncoded: (\[[^\]]*\])/u.exec(plan)!)
        .map(([, name, text, ids]) => ({ name: name!, text: text!, ids: JSON.parse(ids!) as number[] }))
    : [];

  it("the ones needed are there", () => {
    expect(existsSync(fileOf("r50k_base")) && existsSync(fileOf("cl100k_base"))).toBe(true);
    expect(plans.length).toBe(313);
  });

  it.each(Object.keys(encodings).filter((name) => existsSync(fileOf(name))))("%s: every vector", (name) => {
    const tokenizer = tokenizerFromRanks(readFileSync(fileOf(name), "utf8"), { pattern: encodings[name]! });
    const own = plans.filter((plan) => plan.name === name);
    expect(own.length).toBeGreaterThan(50);
    for (const { text, ids } of own) {
      expect([...tokenizer.encode(text)], text).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  it.skip.each(Object.keys(encodings).filter((name) => !existsSync(fileOf(name))))("%s: absent, only its vectors are there", () => {});

  it("r50k_base and GPT-2's tokenizer.json, which is older than the field type, agree", () => {
    const old = tokenizerFromJson(JSON.parse(readFileSync(json.path, "utf8")));
    const tokenizer = tokenizerFromRanks(readFileSync(fileOf("r50k_base"), "utf8"), {
      pattern: gpt2,
      special: { "<|endoftext|>": 50256 },
      eos: "<|endoftext|>",
    });
    for (const { text } of plans) expect([...old.encode(text)], text).toEqual([...tokenizer.encode(text)]);
    expect([...tokenizer.encode("a<|endoftext|>", { parseSpecial: true })]).toEqual([64, 50256]);
    expect([...tokenizer.encode("a<|endoftext|>")]).not.toContain(50256);
    expect(old.endOfGeneration).toEqual(new Set([50256]));
  });

  it("a chat in cl100k_base's turns gives the published ids", () => {
    const special = { "<|im_start|>": 100264, "<|im_end|>": 100265, "<|im_sep|>": 100266 };
    const tokenizer = tokenizerFromRanks(readFileSync(fileOf("cl100k_base"), "utf8"), { pattern: llama3, special });
    const snapshot = readFileSync(`${ranks.path}/GptEncoding.test.ts.snap`, "utf8");
    const at = (n: number): string =>
      new RegExp(`exports\\[\`gpt-4 > chat functionality > encodes a chat correctly ${n}\`\\] = \`([^]*?)\`;`, "u").exec(snapshot)![1]!;
    const ids = at(1).match(/\d+/gu)!.map(Number);
    const text = at(2).trim().replace(/^"|"$/gu, "");
    expect([...tokenizer.encode(text, { parseSpecial: true })]).toEqual(ids);
  });
});

describe("a rank file", () => {
  const row = (piece: string, rank: number): string => `${btoa(piece)} ${rank}`;
  it("merges the lowest rank first", () => {
    const tokenizer = tokenizerFromRanks([row("a", 0), row("b", 1), row("c", 2), row("bc", 3), row("ab", 4)].join("\n"), {
      pattern: ".+",
      special: { S: 5 },
      bos: "S",
    });
    expect([...tokenizer.encode("abc")]).toEqual([0, 3]);
    expect(tokenizer.bos).toBe(5);
  });
  it.each([["x"], ["!!! 3"], [`${btoa("a")} -1`], [`${btoa("a")} 1.5`], [`${btoa("a")} `], [`${row("a", 0)}\n${row("b", 0)}`], [" 3"]])(
    "%j is refused",
    (text) => {
      expect(() => tokenizerFromRanks(text, { pattern: ".+" })).toThrow(expect.objectContaining({ code: "FRUGAL_BAD_FILE" }));
    },
  );
});

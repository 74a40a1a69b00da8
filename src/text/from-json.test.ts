// Ids and decoded text against the tokenizers library, for a tiny tokenizer of every kind (testing/oracles/tokenizers_train.py).
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrugalError } from "../tensor/error.ts";
import { type MetadataValue, stringTable } from "../tensor/strings.ts";
import { tokenizerFromMetadata } from "./from-gguf.ts";
import { tokenizerFromJson } from "./from-json.ts";
import type { Tokenizer } from "./tokenizer.ts";

const folder = new URL("../../testing/fixtures/tokenizers/", import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const texts = read("texts.json") as string[];
const names = readdirSync(folder).filter((name) => name.endsWith(".json") && !["texts.json", "sentencepiece-bpe.json"].includes(name));

interface Fixture {
  readonly tokenizer: Record<string, unknown>;
  readonly cases: readonly (readonly [number[], string])[];
}

const load = (name: string): { tokenizer: Tokenizer; cases: Fixture["cases"] } => {
  const { tokenizer, cases } = read(name) as Fixture;
  return { tokenizer: tokenizerFromJson(tokenizer), cases };
};

describe("tokenizer.json", () => {
  it.each(names)("%s gives the library's ids", (name) => {
    const { tokenizer, cases } = load(name);
    const wrong = texts.flatMap((text, i) => {
      const ids = [...tokenizer.encode(text, { parseSpecial: true })];
      return ids.join() === cases[i]![0].join() ? [] : [{ text, ids, expected: cases[i]![0] }];
    });
    expect(wrong).toEqual([]);
  });

  // Where we differ from the library on purpose: it spells an added token that was matched after normalization in its normal form
  // ("thanks" for THANKS), keeps the ## of a first piece, and drops every space of a first piece (metaspace), not one.
  const ownWay: Readonly<Record<string, (text: string) => string>> = {
    "added.json": (text) => text.toLowerCase(),
    "bpe-prefix.json": (text) => text.replace(/^##/u, ""),
    "metaspace.json": (text) => text.trimStart().replace(/^The /u, "The"),
  };
  it.each(names)("%s gives the library's text", (name) => {
    const { tokenizer, cases } = load(name);
    const same = ownWay[name] ?? ((text: string) => text);
    const wrong = cases.flatMap(([ids, expected]) => {
      const text = tokenizer.decode(ids, { skipSpecial: true });
      return same(text) === same(expected) ? [] : [{ ids, text, expected }];
    });
    expect(wrong).toEqual([]);
  });
});

describe("SentencePiece", () => {
  it("BPE by scores gives its own ids from GGUF's metadata", () => {
    const { pieces, cases } = read("sentencepiece-bpe.json") as { pieces: [string, number, number][]; cases: [string, number[]][] };
    const metadata = new Map<string, MetadataValue>([
      ["tokenizer.ggml.model", "llama"],
      ["tokenizer.ggml.tokens", stringTable(pieces.map(([piece]) => piece))],
      ["tokenizer.ggml.scores", Float32Array.from(pieces, ([, score]) => score)],
      ["tokenizer.ggml.token_type", Int32Array.from(pieces, ([, , type]) => type)],
    ]);
    const tokenizer = tokenizerFromMetadata(metadata);
    for (const [text, ids] of cases) {
      // SentencePiece puts no space of its own after a user-defined piece; llama.cpp, whose files these are, does.
      if (/<tool>|\n\n/u.test(text)) continue;
      expect([...tokenizer.encode(text, { addSpecial: false })], JSON.stringify(text)).toEqual(ids);
    }
  });
});

const tiny = (changes: Record<string, unknown> = {}, model: Record<string, unknown> = {}): unknown => ({
  model: { type: "BPE", vocab: { a: 0, b: 1, ab: 2, " ": 3, "<s>": 4 }, merges: [["a", "b"]], unk_token: "<s>", ...model },
  added_tokens: [{ id: 4, content: "<s>", special: true }],
  decoder: { type: "Fuse" },
  ...changes,
});

describe("options of tokenizer.json", () => {
  const ids = (json: unknown, text: string, config?: unknown): number[] => [...tokenizerFromJson(json, config).encode(text)];

  it("merges, unknown pieces and whole words", () => {
    expect(ids(tiny(), "abba")).toEqual([2, 1, 0]);
    expect(ids(tiny({}, { merges: ["a b"] }), "ab")).toEqual([2]);
    expect(ids(tiny({}, { merges: [] }), "ab")).toEqual([0, 1]);
    expect(ids(tiny({}, { merges: [], ignore_merges: true }), "ab")).toEqual([2]);
    expect(ids(tiny(), "axxa")).toEqual([0, 4, 4, 0]);
    expect(ids(tiny({}, { fuse_unk: true }), "axxa")).toEqual([0, 4, 0]);
    expect(ids(tiny({}, { unk_token: null }), "axxa")).toEqual([0, 0]);
  });

  it("BOS and EOS by the configuration where the file has no post-processor", () => {
    expect(ids(tiny(), "a", { bos_token: "<s>", add_bos_token: true })).toEqual([4, 0]);
    expect(ids(tiny(), "a", { bos_token: { content: "<s>" }, add_bos_token: false })).toEqual([0]);
    expect(ids(tiny(), "a", { eos_token: "<s>", add_eos_token: true })).toEqual([0, 4]);
    expect(tokenizerFromJson(tiny(), { bos_token: "<s>", pad_token: "a" })).toMatchObject({ bos: 4, padding: 0 });
  });

  it("special text stays text", () => {
    const tokenizer = tokenizerFromJson(
      tiny(
        {},
        {
          vocab: { a: 0, b: 1, ab: 2, "<": 3, "<s>": 4, s: 5, ">": 6, "<s": 7 },
          merges: [
            ["<", "s"],
            ["<s", ">"],
          ],
          ignore_merges: true,
        },
      ),
    );
    expect([...tokenizer.encode("<s>")]).toEqual([7, 6]);
    expect([...tokenizer.encode("<s>", { parseSpecial: true })]).toEqual([4]);
  });
});

describe("a hostile tokenizer.json", () => {
  const codeOf = (json: unknown, text = "ab"): string => {
    try {
      tokenizerFromJson(json).encode(text);
    } catch (error) {
      if (error instanceof FrugalError) return error.code;
      throw error;
    }
    return "none";
  };
  const deep = (key: string, type: string): unknown => {
    let spec: unknown = { type: "NFC" };
    for (let i = 0; i < 1000; i++) spec = { type, [key]: [spec] };
    return spec;
  };

  it.each([
    [null],
    [[]],
    [{}],
    [tiny({ model: 3 })],
    [tiny({}, { vocab: [] })],
    [tiny({}, { vocab: { a: -1 } })],
    [tiny({}, { vocab: { a: 1.5 } })],
    [tiny({}, { vocab: { a: 16_000_000 } })],
    [tiny({}, { vocab: { a: 0, b: 0 } })],
    [tiny({}, { merges: [["a", "z"]] })],
    [tiny({}, { merges: ["ab"] })],
    [tiny({}, { merges: [3] })],
    [tiny({}, { merges: {} })],
    [tiny({ added_tokens: [{ id: 1e9, content: "x" }] })],
    [tiny({ added_tokens: [{ id: 1 }] })],
    [tiny({ normalizer: [] })],
    [tiny({ normalizer: deep("normalizers", "Sequence") })],
    [tiny({ pre_tokenizer: deep("pretokenizers", "Sequence") })],
    [tiny({ normalizer: { type: "Precompiled", precompiled_charsmap: "%%%" } })],
    [tiny({ normalizer: { type: "Precompiled", precompiled_charsmap: "/////w==" } })],
    [tiny({ pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" } })],
    [tiny({ pre_tokenizer: { type: "Split", pattern: { Regex: "a" }, behavior: "sideways" } })],
    [tiny({ post_processor: { type: "TemplateProcessing", single: [{ SpecialToken: { id: "nobody" } }], special_tokens: {} } })],
    [tiny({ post_processor: { type: "BertProcessing", sep: ["x", 99], cls: ["y", 0] } })],
  ])("case %# is FRUGAL_BAD_FILE", (json) => expect(codeOf(json)).toBe("FRUGAL_BAD_FILE"));

  it("an unknown part names the nearest", () => {
    expect(() => tokenizerFromJson(tiny({ normalizer: { type: "NFCC" } }))).toThrow(/did you mean "NFC"/u);
    expect(() => tokenizerFromJson(tiny({ pre_tokenizer: { type: "Digit" } }))).toThrow(/did you mean "Digits"/u);
    expect(() => tokenizerFromJson(tiny({}, { type: "BPEE" }))).toThrow(/did you mean "BPE"/u);
    expect(codeOf(tiny({}, { dropout: 0.1 }))).toBe("FRUGAL_UNSUPPORTED");
  });

  it.each(["(a+)+c", "(a|a)*c", "(a*)*c", "a*a*a*a*a*a*c", "(?:(?:a?)*)*c", "(a|aa)+$c"])("the pattern %s ends soon", (Regex) => {
    const started = performance.now();
    codeOf(tiny({ pre_tokenizer: { type: "Split", pattern: { Regex }, behavior: "Isolated" } }), "a".repeat(20_000));
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it("never throws anything but a FrugalError, whatever value stands where", () => {
    const parts = ["normalizer", "pre_tokenizer", "decoder", "post_processor", "added_tokens", "model"];
    const types = [
      "NFC",
      "Sequence",
      "Replace",
      "Split",
      "ByteLevel",
      "Metaspace",
      "TemplateProcessing",
      "Unigram",
      "WordPiece",
      "WordLevel",
      "BPE",
      "Precompiled",
      "Strip",
    ];
    const keys = [
      "type",
      "pattern",
      "content",
      "normalizers",
      "pretokenizers",
      "decoders",
      "vocab",
      "merges",
      "single",
      "special_tokens",
      "id",
      "unk_id",
      "unk_token",
    ];
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom(...types),
        fc.constantFrom(null, 0, -1, 1.5, 1e12, "", "a", "\ud800", true),
        tie("list"),
        tie("record"),
      ),
      list: fc.array(tie("any"), { maxLength: 3 }),
      record: fc.dictionary(fc.constantFrom(...keys), tie("any"), { maxKeys: 5 }),
    }));
    fc.assert(
      fc.property(fc.constantFrom(...parts), value.any, fc.constantFrom(...types), (part, any, type) => {
        const spec = typeof any === "object" && any !== null && !Array.isArray(any) ? { type, ...any } : any;
        codeOf(tiny({ [part]: spec }));
      }),
      { numRuns: 2000 },
    );
  });
});

it("two texts are put together as the post-processor says", () => {
  const pair = (name: string, most?: number): { ids: number[]; segments: number[]; a: number[]; b: number[] } => {
    const { tokenizer } = load(name);
    const { ids, segments } = tokenizer.encodePair("ab a", "b", most);
    const plain = (text: string): number[] => [...tokenizer.encode(text, { addSpecial: false })];
    return { ids: [...ids], segments: [...segments], a: plain("ab a"), b: plain("b") };
  };
  for (const name of ["bert.json", "bert-cased.json"]) {
    const { ids, segments, a, b } = pair(name);
    expect(ids).toEqual([2, ...a, 3, ...b, 3]);
    expect(segments).toEqual([0, ...a.map(() => 0), 0, ...b.map(() => 1), 1]);
    expect(pair(name, a.length + 3).ids).toEqual([2, ...a, 3, 3]);
  }
  const roberta = pair("roberta.json");
  expect(roberta.ids).toEqual([0, ...roberta.a, 2, 2, ...roberta.b, 2]);
  expect(roberta.segments.every((segment) => segment === 0)).toBe(true);
  const llama = pair("llama3.json");
  expect(llama.ids).toEqual([0, ...llama.a, ...llama.b]);
  expect(() => tokenizerFromJson(tiny()).encodePair("a", "b")).toThrow(/how two texts are put together/u);
});

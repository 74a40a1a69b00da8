// What the keys of GGUF metadata change, and what they may get wrong. Whole files are read in testing/text.
import { describe, expect, it } from "vitest";
import { FrugalError } from "../tensor/error.ts";
import { type Metadata, type MetadataValue, stringTable } from "../tensor/strings.ts";
import { tokenizerFromMetadata } from "./from-gguf.ts";
import { preTokenizers } from "./pre-tokenizers.ts";

describe("metadata", () => {
  const tiny = (changes: Record<string, MetadataValue | undefined> = {}): Metadata => {
    const pieces = ["<unk>", "<s>", "</s>", "<0x41>", "a", "b", "ab", "\u2581", "\u2581a", "\u2581ab", "abb", "<x>"];
    const entries: [string, MetadataValue | undefined][] = Object.entries({
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.tokens": stringTable(pieces),
      "tokenizer.ggml.scores": Float32Array.from(pieces, (_, id) => -id),
      "tokenizer.ggml.token_type": Int32Array.from([2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 1, 4]),
      ...changes,
    });
    return new Map(entries.filter((entry): entry is [string, MetadataValue] => entry[1] !== undefined));
  };
  const ids = (metadata: Metadata, text: string): number[] => [...tokenizerFromMetadata(metadata).encode(text)];
  const codeOf = (work: () => unknown): string => {
    try {
      work();
    } catch (error) {
      if (error instanceof FrugalError) return error.code;
      throw error;
    }
    return "no error";
  };

  it("best score merges first, bytes and the unknown piece spell the rest", () => {
    expect(ids(tiny(), "ab")).toEqual([1, 9]);
    expect(ids(tiny(), "A")).toEqual([1, 7, 3]);
    expect(ids(tiny(), "é")).toEqual([1, 7, 0]);
    expect(ids(tiny({ "tokenizer.ggml.scores": Float32Array.from([0, 0, 0, 0, 0, 0, -9, 0, -1, -9, -9, 0]) }), "ab")).toEqual([1, 9]);
    expect(ids(tiny({ "tokenizer.ggml.scores": Float32Array.from([0, 0, 0, 0, 0, 0, -1, 0, -2, -9, 0, 0]) }), "abb")).toEqual([1, 7, 10]);
  });

  it("every flag is heard", () => {
    expect(ids(tiny({ "tokenizer.ggml.add_bos_token": false }), "ab")).toEqual([9]);
    expect(ids(tiny({ "tokenizer.ggml.add_eos_token": true }), "ab")).toEqual([1, 9, 2]);
    expect(ids(tiny({ "tokenizer.ggml.add_space_prefix": false }), "ab")).toEqual([1, 6]);
    expect(ids(tiny({ "tokenizer.ggml.bos_token_id": 2 }), "ab")).toEqual([2, 9]);
    expect(tokenizerFromMetadata(tiny({ "tokenizer.ggml.eos_token_id": 11 })).eos).toBe(11);
    expect(ids(tiny(), "ab<x>ab")).toEqual([1, 9, 11, 9]);
    expect(tokenizerFromMetadata(tiny()).decode([1, 9, 11, 9])).toBe("<s> ab<x> ab");
    expect(tokenizerFromMetadata(tiny()).decode([1, 9, 11, 9], { skipSpecial: true })).toBe("ab<x> ab");
  });

  it("what is missing or wrong is named", () => {
    expect(codeOf(() => tokenizerFromMetadata(new Map()))).toBe("FRUGAL_NOT_FOUND");
    expect(() => tokenizerFromMetadata(tiny({ "tokenizer.ggml.model": "lama" }))).toThrow(/did you mean "llama"/u);
    expect(() => tokenizerFromMetadata(tiny({ "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen-2" }))).toThrow(
      /did you mean "qwen2"/u,
    );
    for (const changes of [
      { "tokenizer.ggml.tokens": undefined },
      { "tokenizer.ggml.tokens": 3 },
      { "tokenizer.ggml.tokens": stringTable([]) },
      { "tokenizer.ggml.scores": undefined },
      { "tokenizer.ggml.scores": Float32Array.of(1) },
      { "tokenizer.ggml.scores": "x" },
      { "tokenizer.ggml.token_type": Int32Array.of(1) },
      { "tokenizer.ggml.bos_token_id": 99 },
      { "tokenizer.ggml.bos_token_id": "1" },
      { "tokenizer.ggml.add_bos_token": 1 },
      { "tokenizer.ggml.model": "gpt2" },
      { "tokenizer.ggml.model": "t5", "tokenizer.ggml.precompiled_charsmap": Uint8Array.of(9, 9, 9, 9, 1) },
    ])
      expect(
        codeOf(() => tokenizerFromMetadata(tiny(changes))),
        JSON.stringify(changes),
      ).toBe("FRUGAL_BAD_FILE");
    expect(codeOf(() => tokenizerFromMetadata(tiny()).decode([12]))).toBe("FRUGAL_BAD_ARGUMENT");
    const none = tokenizerFromMetadata(
      new Map<string, MetadataValue>([
        ["tokenizer.ggml.model", "none"],
        ["general.architecture", "x"],
        ["x.vocab_size", 8],
      ]),
    );
    expect(none.vocabularySize).toBe(8);
    expect(codeOf(() => none.encode("a"))).toBe("FRUGAL_UNSUPPORTED");
  });

  it("no rule of the file makes a special token of text", () => {
    const merges = tiny({
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "gpt-2",
      "tokenizer.ggml.tokens": stringTable(["a", "b", "ab", "x", "y", "xy", "xya"]),
      "tokenizer.ggml.token_type": Int32Array.from([1, 1, 1, 1, 1, 3, 1]),
      "tokenizer.ggml.merges": stringTable(["a b", "x y", "xy a"]),
    });
    expect(ids(merges, "ab")).toEqual([2]);
    expect(ids(merges, "xya")).toEqual([3, 4, 0]);
    expect([...tokenizerFromMetadata(merges).encode("xya", { parseSpecial: true })]).toEqual([5, 0]);
  });

  it("every pre-tokenizer compiles and cuts text without losing any", () => {
    const bytes = Array.from({ length: 256 }, (_, i) =>
      String.fromCharCode(
        (i >= 33 && i <= 126) || (i >= 161 && i !== 173)
          ? i
          : 256 + [...Array(i).keys()].filter((j) => !((j >= 33 && j <= 126) || (j >= 161 && j !== 173))).length,
      ),
    );
    const text = " Hello wORLD's 12345 3.14\n\n\t x=y;; 日本語かな한글 ünïcode  e\u0301 'S 'll <sentinel:1> \u0e01\u0e32 tail  ";
    for (const name of Object.keys(preTokenizers)) {
      if (preTokenizers[name]!.characters === true) continue;
      const tokenizer = tokenizerFromMetadata(
        tiny({
          "tokenizer.ggml.model": "gpt2",
          "tokenizer.ggml.pre": name,
          "tokenizer.ggml.tokens": stringTable(bytes),
          "tokenizer.ggml.token_type": undefined,
          "tokenizer.ggml.merges": stringTable([]),
          "tokenizer.ggml.add_bos_token": false,
        }),
      );
      expect(tokenizer.decode(tokenizer.encode(text)), name).toBe(text);
    }
  });
});

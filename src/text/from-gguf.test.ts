// llama.cpp's own vectors for the vocabularies at hand, what metadata may get wrong, and the size and speed a real vocabulary allows.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sharedData } from "../../testing/shared.ts";
import { openFile } from "../formats/files.ts";
import { readGguf } from "../formats/gguf/read.ts";
import { FrugalError } from "../tensor/error.ts";
import { type Metadata, type MetadataValue, stringTable } from "../tensor/strings.ts";
import { tokenizerFromMetadata } from "./from-gguf.ts";
import { preTokenizers } from "./pre-tokenizers.ts";
import type { Tokenizer } from "./tokenizer.ts";

const vocabularies = sharedData("tokenizers/llama.cpp-vocabs");

async function load(path: string): Promise<Tokenizer> {
  const file = await readGguf(await openFile(path));
  try {
    return tokenizerFromMetadata(file.metadata);
  } finally {
    await file.close();
  }
}

const cases = (path: string): { text: string; ids: number[] }[] => {
  const rows = readFileSync(`${path}.out`, "utf8").split("\n");
  return readFileSync(`${path}.inp`, "utf8")
    .split("\n__ggml_vocab_test__\n")
    .map((text, i) => ({
      text,
      ids: rows[i]!.trim()
        .split(/\s+/u)
        .filter((id) => id !== "")
        .map(Number),
    }));
};

describe.skipIf(vocabularies.skip)("vocabularies of llama.cpp (skipped without ../shared/data)", () => {
  const present = (name: string): boolean => existsSync(join(vocabularies.path, name));
  const names = existsSync(vocabularies.path)
    ? readdirSync(vocabularies.path)
        .filter((name) => name.endsWith(".inp"))
        .map((name) => name.slice(0, -4))
    : [];

  it("are there", () => expect(names.filter(present).length).toBeGreaterThanOrEqual(4));

  it.each(names.filter(present))("%s: every vector", async (name) => {
    const path = join(vocabularies.path, name);
    const tokenizer = await load(path);
    const vectors = cases(path);
    expect(vectors.length).toBeGreaterThan(40);
    for (const { text, ids } of vectors) expect([...tokenizer.encode(text, { addSpecial: false })], JSON.stringify(text)).toEqual(ids);
    // BERT's cleaning loses spaces, case and accents; the others lose nothing.
    if (!name.includes("bert")) for (const { text, ids } of vectors) expect(tokenizer.decode(ids)).toBe(text);
  });

  // Vectors without their vocabulary cannot be run: they are named here so that nobody takes them for passed.
  it.skip.each(names.filter((name) => !present(name)))("%s: absent, only its vectors are there", () => {});

  it("a text survives encoding and decoding, whatever it is", async () => {
    for (const name of ["ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf"]) {
      const tokenizer = await load(join(vocabularies.path, name));
      fc.assert(
        fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
          const ids = tokenizer.encode(text, { addSpecial: false });
          // SentencePiece writes a space as U+2581 and cannot tell them apart.
          const expected = name.includes("spm") ? text.toWellFormed().replaceAll("\u2581", " ") : text.toWellFormed();
          expect(tokenizer.decode(ids)).toBe(expected);
          for (const id of ids) expect(tokenizer.isSpecial(id)).toBe(false);
        }),
        { numRuns: 300 },
      );
    }
  });

  it("cutting into words changes nothing: a text with cuts equals the same text as one word", async () => {
    const tokenizer = await load(join(vocabularies.path, "ggml-vocab-llama-spm.gguf"));
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "the", "  ", " ", "x>", "\u2581", "é", "日", "\n", "ing"), { maxLength: 40 }), (parts) => {
        const text = parts.join("");
        // U+2581 encodes as a space does, but no cut is made at it.
        expect([...tokenizer.encode(text)]).toEqual([...tokenizer.encode(text.replaceAll(" ", "\u2581"))]);
      }),
    );
  });

  it("a megabyte without spaces, of spaces, of one character takes no quadratic time", async () => {
    for (const name of ["ggml-vocab-gpt-2.gguf", "ggml-vocab-llama-spm.gguf"]) {
      const tokenizer = await load(join(vocabularies.path, name));
      for (const unit of ["a", "ab", " ", "\n", "7", "日本", "\0", "!?"]) {
        const text = unit.repeat(200_000 / unit.length);
        const started = performance.now();
        expect(tokenizer.decode(tokenizer.encode(text), { skipSpecial: true })).toBe(text);
        expect(performance.now() - started).toBeLessThan(5000);
      }
    }
  }, 60_000);

  it("special tokens are ids only when asked for", async () => {
    const tokenizer = await load(join(vocabularies.path, "ggml-vocab-phi-3.gguf"));
    const ids = tokenizer.encode("<s>a<|end|></s>", { addSpecial: false });
    expect([...ids].some((id) => tokenizer.isSpecial(id))).toBe(false);
    expect([...tokenizer.encode("<s>a<|end|>", { addSpecial: false, parseSpecial: true })].filter((id) => tokenizer.isSpecial(id))).toEqual(
      [1, 32007],
    );
    expect(tokenizer.endOfGeneration).toContain(32007);
    expect(tokenizer.idOf("<|end|>")).toBe(32007);
  });
});

const gemma = join(homedir(), ".cache/frugal/models/gemma-3-270m-q4_k_m.gguf");
it.skipIf(!existsSync(gemma))("Gemma's 262,144 pieces load in a few hundredths of a second (skipped without the model)", async () => {
  const file = await readGguf(await openFile(gemma));
  const times: number[] = [];
  let tokenizer: Tokenizer | undefined;
  for (let i = 0; i < 5; i++) {
    const started = performance.now();
    tokenizer = tokenizerFromMetadata(file.metadata);
    times.push(performance.now() - started);
  }
  await file.close();
  // 30 to 60 ms on a quiet machine of two cores; the bound leaves room for a busy one.
  expect(Math.min(...times)).toBeLessThan(200);
  expect([...tokenizer!.encode("Once upon a time")]).toEqual([2, 14946, 3324, 496, 990]);
  expect([...tokenizer!.encode("a  b\n\nc >  </", { addSpecial: false })].map((id) => tokenizer!.pieceText(id)).join("|"))
    .toMatchInlineSnapshot(`
    "a|  |b|

    |c|▁>|  |</"
  `);
  expect(tokenizer!.endOfGeneration).toEqual(new Set([1, 106]));
});

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

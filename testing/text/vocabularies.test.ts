// GGUF vocabularies from file to ids: llama.cpp's own vectors, round trips, and the speed a real vocabulary allows.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sharedData } from "../shared.ts";
import { openFile } from "../../src/formats/files.ts";
import { readGguf } from "../../src/formats/gguf/read.ts";
import { tokenizerFromMetadata } from "../../src/text/from-gguf.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";

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

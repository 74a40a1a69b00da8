import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { corpusRows, cutCorpus, readCorpus } from "./corpus.ts";

const folder = mkdtempSync(join(tmpdir(), "frugal-corpus-"));
afterAll(() => rmSync(folder, { recursive: true }));

const content = "One.  \r\nTwo.\n---\n\n---\nA much longer text.\n---\nOne.\nTwo.\n---\ncut o\n";
const cut = (options: object = {}): ReturnType<typeof cutCorpus> => cutCorpus(content, { file: "a.txt", separator: "---", ...options });

describe("a corpus", () => {
  it("is cut at the separator, tidied, and has each text once", () => {
    expect(cut()).toEqual({
      texts: ["One.\nTwo.", "A much longer text.", "cut o"],
      left: { short: 0, long: 0, unmatched: 0, repeated: 1, alike: 0 },
    });
    expect(cutCorpus(content, { file: "a.txt" }).texts).toHaveLength(1);
    expect(cutCorpus("a --- b", { file: "a.txt", separator: "---" }).texts).toEqual(["a --- b"]);
  });

  it("leaves out what is too short, too long, or does not match", () => {
    expect(cut({ shortest: 9 })).toMatchObject({ texts: ["One.\nTwo.", "A much longer text."], left: { short: 1 } });
    expect(cut({ longest: 9 })).toMatchObject({ texts: ["One.\nTwo.", "cut o"], left: { long: 1 } });
    expect(cut({ matches: "[.!?]$" })).toMatchObject({ texts: ["One.\nTwo.", "A much longer text."], left: { unmatched: 1 } });
  });

  it("leaves out what is nearly the same as something before", () => {
    const words = Array.from({ length: 60 }, (_, i) => `word${i}`);
    const two = `${words.join(" ")}\n---\n${words.join(" ")} more\n`;
    const options = { file: "a.txt", separator: "---" };
    expect(cutCorpus(two, options).texts).toHaveLength(2);
    expect(cutCorpus(two, { ...options, nearDuplicates: 0.8 })).toMatchObject({ texts: [words.join(" ")], left: { alike: 1 } });
    expect(cutCorpus(two, { ...options, nearDuplicates: 1 }).texts).toHaveLength(2);
  });

  it("is rows of text", async () => {
    const source = corpusRows("a.txt", cut({ longest: 9 }));
    const rows = new TextDecoder().decode(await source.read(0, source.byteLength));
    expect(rows).toBe('{"text":"One.\\nTwo."}\n{"text":"cut o"}\n');
    expect(source.name).toBe("a.txt");
  });
});

describe("a file of texts", () => {
  const file = join(folder, "texts.txt");
  it("is read", async () => {
    writeFileSync(file, content);
    expect(await readCorpus({ file, separator: "---" })).toEqual(cut());
  });
  it("says what is wrong with it", async () => {
    await expect(readCorpus({ file: join(folder, "none.txt") })).rejects.toThrow(/none\.txt: .* does not exist/);
    await expect(readCorpus({ file, separator: "---", matches: "(" })).rejects.toThrow(/matches "\(" is no regular expression/);
    await expect(readCorpus({ file, separator: "---", shortest: 1000 })).rejects.toThrow(
      /no text is left of it \(4 short, 0 long, 0 unmatched, 0 repeated, 0 alike\)/,
    );
    writeFileSync(file, Uint8Array.of(0x61, 0xff));
    await expect(readCorpus({ file })).rejects.toThrow(/is not UTF-8 text/);
  });
});

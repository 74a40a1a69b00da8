/** Texts under constraints without a model: every token is drawn from those that are allowed. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openFile } from "../src/formats/files.ts";
import { readGguf } from "../src/formats/gguf/read.ts";
import { type Constraint, type ConstraintCompiler, createConstraintCompiler } from "../src/text/constraint.ts";
import { tokenizerFromMetadata } from "../src/text/from-gguf.ts";
import { tokenizerFromJson } from "../src/text/from-json.ts";
import type { Tokenizer } from "../src/text/tokenizer.ts";

export interface Vocabulary {
  readonly tokenizer: Tokenizer;
  readonly compiler: ConstraintCompiler;
  readonly end: number;
}

const path = (place: string): string => fileURLToPath(new URL(place, import.meta.url));

/** That of the embedded model. */
export async function storiesVocabulary(): Promise<Vocabulary> {
  const file = await readGguf(await openFile(path("../models/stories/stories.gguf")));
  try {
    return vocabularyOf(tokenizerFromMetadata(file.metadata));
  } finally {
    await file.close();
  }
}

/** One of the tokenizers in testing/fixtures. */
export function fixtureVocabulary(name: string): Vocabulary {
  const fixture = JSON.parse(readFileSync(path(`fixtures/tokenizers/${name}`), "utf8")) as { readonly tokenizer: unknown };
  return vocabularyOf(tokenizerFromJson(fixture.tokenizer));
}

/** A token for each byte of the text, whatever longer ones there are. */
export function byteIds({ tokenizer }: Vocabulary, text: string): Int32Array {
  const ids = new Map<number, number>();
  for (let id = 0; id < tokenizer.vocabularySize; id++) {
    const bytes = tokenizer.pieceBytes(id);
    if (bytes.length === 1 && !tokenizer.isSpecial(id) && !ids.has(bytes[0]!)) ids.set(bytes[0]!, id);
  }
  return Int32Array.from(new TextEncoder().encode(text), (byte) => ids.get(byte)!);
}

export function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  const end = [...tokenizer.endOfGeneration][0] ?? tokenizer.vocabularySize;
  return { tokenizer, end, compiler: createConstraintCompiler(tokenizer, tokenizer.vocabularySize + 1, [end]) };
}

const isAllowed = (mask: Int32Array, id: number): boolean => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1;

/** Whether these ids may be written, and may be all. */
export async function allows({ compiler, end }: Vocabulary, constraint: Constraint, ids: ArrayLike<number>): Promise<boolean> {
  const matcher = (await compiler.compile(constraint)).start();
  for (const id of Array.from(ids)) {
    if (!isAllowed(matcher.allowed(), id)) return false;
    matcher.accept(id);
  }
  return matcher.over || isAllowed(matcher.allowed(), end);
}

/** A text of tokens drawn by `random`; undefined where it had not come to its end after `most` tokens. Late tokens are rather those that close something. */
export async function drawn(v: Vocabulary, constraint: Constraint, random: () => number, most: number): Promise<string | undefined> {
  const matcher = (await v.compiler.compile(constraint)).start();
  const closing = byteIds(v, '"}]01at');
  const ids: number[] = [];
  while (!matcher.over && ids.length < most) {
    const mask = matcher.allowed();
    let id: number | undefined;
    if (ids.length > most / 4) id = [v.end, ...closing].find((candidate) => isAllowed(mask, candidate) && random() < 0.8);
    if (id === undefined) {
      const allowed: number[] = [];
      for (let i = 0; i < mask.length * 32; i++) if (isAllowed(mask, i)) allowed.push(i);
      id = allowed[Math.floor(random() * allowed.length)]!;
    }
    matcher.accept(id);
    if (id !== v.end) ids.push(id);
  }
  // All bytes but the tokenizer's own first space.
  const bytes = ids.flatMap((each) => [...v.tokenizer.pieceBytes(each)]);
  return matcher.over ? new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes)) : undefined;
}

/** The normalizers of tokenizer.json: text to text. */
import { cleanBert, lowerEach } from "./bert-text.ts";
import { alphabet } from "./byte-alphabet.ts";
import { characterMap, normalizeGraphemes } from "./charsmap.ts";
import { badJson, boolean, byType, type JsonRecord, optionalString, record, sequence, string } from "./json-read.ts";
import { literalPattern, patternOf } from "./split.ts";
import type { TextPattern } from "./regex.ts";

export type Normalizer = (text: string) => string;
type Reader = (spec: JsonRecord, where: string, level: number) => Normalizer;

const encoder = new TextEncoder();

const readers: Readonly<Record<string, Reader>> = {
  NFC: () => (text) => text.normalize("NFC"),
  NFD: () => (text) => text.normalize("NFD"),
  NFKC: () => (text) => text.normalize("NFKC"),
  NFKD: () => (text) => text.normalize("NFKD"),
  Lowercase: () => lowerEach,
  StripAccents: () => (text) => text.replace(/\p{M}/gv, ""),
  Strip: (spec, where) => {
    const left = boolean(spec["strip_left"], `${where}.strip_left`, true);
    const right = boolean(spec["strip_right"], `${where}.strip_right`, true);
    return (text) => {
      const open = left ? text.replace(/^\p{White_Space}+/v, "") : text;
      return right ? open.replace(/(?<!\p{White_Space})\p{White_Space}+$/v, "") : open;
    };
  },
  Prepend: (spec, where) => {
    const added = string(spec["prepend"], `${where}.prepend`);
    return (text) => (text === "" ? text : added + text);
  },
  Replace: (spec, where) => {
    const pattern = readPattern(spec["pattern"], `${where}.pattern`);
    const content = string(spec["content"], `${where}.content`);
    return (text) => replaceSpans(text, pattern.spans(text), content);
  },
  BertNormalizer: (spec, where) => {
    const lowercase = boolean(spec["lowercase"], `${where}.lowercase`, true);
    const cleaning = {
      cleanText: boolean(spec["clean_text"], `${where}.clean_text`, true),
      separateHan: boolean(spec["handle_chinese_chars"], `${where}.handle_chinese_chars`, true),
      stripAccents: boolean(spec["strip_accents"], `${where}.strip_accents`, lowercase),
      lowercase,
    };
    return (text) => cleanBert(text, cleaning);
  },
  Precompiled: (spec, where) => {
    const map = characterMap(base64(string(spec["precompiled_charsmap"], `${where}.precompiled_charsmap`), where));
    return (text) => normalizeGraphemes(map, text);
  },
  Nmt: () => (text) =>
    text
      .replace(/[\u{1}-\u{8}\u{b}\u{e}-\u{1f}\u{7f}\u{8f}\u{9f}]/gv, "")
      .replace(/[\t\n\f\r\u{1680}\u{200b}-\u{200f}\u{2028}\u{2029}\u{2581}\u{feff}\u{fffd}]/gv, " "),
  ByteLevel: () => (text) => spellBytes(text),
  Sequence: (spec, where, level) => {
    const steps = sequence(spec, "normalizers", where, level).map((item, i) => readOne(item, `${where}.normalizers[${i}]`, level + 1));
    return (text) => steps.reduce((result, step) => step(result), text);
  },
};

const readOne: Reader = (spec, where, level) => byType(readers, spec, where)(spec, where, level);

/** @returns undefined where the file has none. */
export const readNormalizer = (value: unknown): Normalizer | undefined =>
  value === null || value === undefined ? undefined : readOne(record(value, "normalizer"), "normalizer", 0);

/** Whether texts are spelled in GPT-2's byte alphabet by the normalizer already. */
export const normalizesBytes = (value: unknown): boolean => JSON.stringify(value ?? null).includes('"type":"ByteLevel"');

/** `{ "String": s }` or `{ "Regex": r }`. */
export function readPattern(value: unknown, where: string): TextPattern {
  if (typeof value === "string") return literalPattern(value);
  const spec = record(value, where);
  const literal = optionalString(spec["String"], `${where}.String`);
  if (literal !== undefined) return literalPattern(literal);
  const regex = optionalString(spec["Regex"], `${where}.Regex`);
  if (regex === undefined) throw badJson(where, "a String or a Regex", value);
  return patternOf(regex);
}

export function replaceSpans(text: string, spans: readonly number[], content: string): string {
  if (spans.length === 0) return text;
  let result = "";
  let at = 0;
  for (let i = 0; i < spans.length; i += 2) {
    result += text.slice(at, spans[i]) + content;
    at = spans[i + 1]!;
  }
  return result + text.slice(at);
}

/** The text's bytes in GPT-2's alphabet. */
export function spellBytes(text: string): string {
  let result = "";
  for (const byte of encoder.encode(text)) result += alphabet[byte]!;
  return result;
}

function base64(text: string, where: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw badJson(where, "base64", text.slice(0, 40));
  }
}

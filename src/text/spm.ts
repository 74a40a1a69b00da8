/**
 * SentencePiece's BPE: neighbours merge whenever the vocabulary knows what they spell together, best score first.
 * Characters that stay unknown are spelled in byte pieces. (Kudo and Richardson 2018, arXiv 1808.06226.)
 */
import { merger, type MergeRule } from "./merge.ts";
import { stringBytes } from "../tensor/strings.ts";
import type { TokenBuffer } from "./token-buffer.ts";
import { utf8Buffer, writeUtf8 } from "./utf8.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { rememberWords } from "./word-cache.ts";

export interface ScoredPieces {
  readonly vocabulary: Vocabulary;
  /** One a piece; the higher merges first. */
  readonly scores: ArrayLike<number>;
  /** Ids of the 256 byte pieces, -1 where there is none. */
  readonly byteIds: Int32Array;
  /** Stands for a character that has no bytes either, or -1 to leave it out. */
  readonly unknown: number;
}

/** Encodes text in which spaces are still spaces; it is cut into words only where no piece could span the cut, so the result is the same as without cuts. */
export function scoredEncoder(pieces: ScoredPieces): (text: string, output: TokenBuffer) => void {
  const { vocabulary, scores, byteIds, unknown } = pieces;
  const buffer = utf8Buffer();
  const merging = merger();
  const candidate = { priority: 0 };
  const rule: MergeRule = {
    candidate,
    merged(_left, _right, start, end) {
      const id = vocabulary.find(buffer.bytes, buffer.starts[start]!, buffer.starts[end]!);
      if (id >= 0) candidate.priority = -scores[id]!;
      return id;
    },
  };

  const encodeWord = (word: string, output: TokenBuffer): void => {
    writeUtf8(buffer, word, true);
    const count = buffer.characters;
    const ids = merging.symbols(count);
    const { bytes, starts } = buffer;
    for (let i = 0; i < count; i++) ids[i] = vocabulary.find(bytes, starts[i]!, starts[i + 1]!);
    merging.run(count, rule, (id, start, end) => {
      if (id >= 0) return output.push(id);
      const known = byteIds[bytes[starts[start]!]!]! >= 0;
      if (!known && unknown >= 0) output.push(unknown);
      if (known) for (let at = starts[start]!; at < starts[end]!; at++) output.push(byteIds[bytes[at]!]!);
    });
  };

  const spanned = spannedBytes(vocabulary);
  const remembered = rememberWords(encodeWord);
  return (text, output) => {
    let start = 0;
    for (let at = text.indexOf(" ", 1); at > 0; at = text.indexOf(" ", at + 1)) {
      const before = text.charCodeAt(at - 1);
      if (before === 0x20 || before === 0x2581) continue;
      // The last byte of its UTF-8; the low six bits of a trailing surrogate are those of the character.
      if (spanned[before < 0x80 ? before : 0x80 | (before & 63)] === 1) continue;
      remembered(text.slice(start, at), output);
      start = at;
    }
    remembered(start === 0 ? text : text.slice(start), output);
  };
}

/** For each last byte of a character, whether some piece holds it right before a space mark: there a text may not be cut. Gemma has one such piece in 262,144. */
function spannedBytes({ pieces: { bytes, offsets, length }, find }: Vocabulary): Uint8Array {
  const spanned = new Uint8Array(256);
  if (length === 0) return spanned;
  let id = 0;
  let end = offsets[1]!;
  // One flat loop: it is compiled while it runs.
  for (let at = offsets[0]! + 1; at < bytes.length - 2; at++) {
    if (bytes[at] !== 0xe2 || bytes[at + 1] !== 0x96 || bytes[at + 2] !== 0x81) continue;
    while (end <= at && id + 1 < length) end = offsets[++id + 1]!;
    const start = offsets[id]!;
    if (at === start || at + 3 > end) continue;
    const afterMark = at - start >= 3 && bytes[at - 1] === 0x81 && bytes[at - 2] === 0x96 && bytes[at - 3] === 0xe2;
    if (!afterMark && find(bytes, start, end) === id) spanned[bytes[at - 1]!] = 1;
  }
  return spanned;
}

/** Ids of the pieces `<0x00>` to `<0xFF>`, -1 where missing; `isByte` says which pieces count. */
export function bytePieces(vocabulary: Vocabulary, isByte: (id: number) => boolean): Int32Array {
  const ids = new Int32Array(256).fill(-1);
  const { pieces } = vocabulary;
  for (let id = 0; id < pieces.length; id++) {
    const value = isByte(id) ? byteOf(stringBytes(pieces, id)) : -1;
    if (value >= 0 && ids[value] === -1) ids[value] = id;
  }
  return ids;
}

/** The byte that a piece like `<0x0A>` stands for, or -1. */
export function byteOf(piece: Uint8Array): number {
  if (piece.length !== 6 || piece[0] !== 0x3c || piece[1] !== 0x30 || piece[2] !== 0x78 || piece[5] !== 0x3e) return -1;
  const high = hexDigit(piece[3]!);
  const low = hexDigit(piece[4]!);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  return -1;
}

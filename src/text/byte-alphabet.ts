/**
 * The printable spelling of bytes that GPT-2 introduced: printable Latin-1 characters stand for themselves, the other 68
 * bytes for U+0100 to U+0143. Vocabulary files write pieces and merges in it.
 */
import type { StringTable } from "../tensor/strings.ts";

/** The character that spells each byte. */
export const alphabet: readonly string[] = (() => {
  const printable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
})();

/** Code points up to U+0143 to bytes, -1 for those that spell none. */
const bytesByCharacter: Int16Array = (() => {
  const bytes = new Int16Array(0x144).fill(-1);
  alphabet.forEach((character, byte) => (bytes[character.charCodeAt(0)] = byte));
  return bytes;
})();

/** Writes the bytes that `source[start, end)` spells to `target` at `at`; answers how many, or -1 where a character is not of the alphabet. */
export function readAlphabet(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  const first = at;
  for (let i = start; i < end;) {
    let code = source[i++]!;
    if (code >= 0x80) {
      // The alphabet needs no more than two bytes of UTF-8 a character.
      if (code < 0xc2 || code > 0xc5 || i >= end) return -1;
      code = ((code & 0x1f) << 6) | (source[i++]! & 0x3f);
    }
    const byte = code < 0x144 ? bytesByCharacter[code]! : -1;
    if (byte < 0) return -1;
    target[at++] = byte;
  }
  return at - first;
}

/** The bytes each piece stands for. Pieces that `literal` names, and those with characters outside the alphabet, stand for themselves. */
export function readPieces(pieces: StringTable, literal: (id: number) => boolean): { table: StringTable; spelled: Uint8Array } {
  const bytes = new Uint8Array(pieces.bytes.length);
  const offsets = new Uint32Array(pieces.length + 1);
  const spelled = new Uint8Array(pieces.length);
  let at = 0;
  for (let id = 0; id < pieces.length; id++) {
    const start = pieces.offsets[id]!;
    const end = pieces.offsets[id + 1]!;
    const read = literal(id) ? -1 : readAlphabet(pieces.bytes, start, end, bytes, at);
    if (read < 0) {
      bytes.set(pieces.bytes.subarray(start, end), at);
      at += end - start;
    } else {
      at += read;
      spelled[id] = 1;
    }
    offsets[id + 1] = at;
  }
  return { table: { length: pieces.length, bytes: bytes.subarray(0, at), offsets }, spelled };
}

/**
 * SentencePiece's compiled normalization: a double array from prefixes of the text to their replacements.
 * (Layout: Darts-clone; a unit holds an offset in bits 10-30, a label in 0-7, "has a value" in 8, "the offset is shifted" in 9.)
 */
import { FrugalError } from "../tensor/error.ts";

export interface CharacterMap {
  /** The replacement for a prefix of `bytes` from `start` on and the length of that prefix; undefined where there is none. */
  match(bytes: Uint8Array, start: number, end: number, longest: boolean): { replacement: string; length: number } | undefined;
}

/** @throws FRUGAL_BAD_FILE where the sizes do not add up. */
export function characterMap(blob: Uint8Array): CharacterMap {
  const fail = (what: string): FrugalError =>
    new FrugalError("FRUGAL_BAD_FILE", `tokenizer charsmap: ${what}; the file is corrupt, fetch it again`, { bytes: blob.length });
  if (blob.length < 4) throw fail(`${blob.length} bytes hold no header`);
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const size = view.getUint32(0, true);
  if (size % 4 !== 0 || size + 4 > blob.length) throw fail(`a table of ${size} bytes does not fit ${blob.length}`);
  const units = new Uint32Array(size / 4);
  for (let i = 0; i < units.length; i++) units[i] = view.getUint32(4 + i * 4, true);
  const texts = blob.subarray(4 + size);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  const textAt = (index: number): string => {
    let end = index;
    while (end < texts.length && texts[end] !== 0) end++;
    if (end >= texts.length) throw fail(`replacement ${index} lies outside ${texts.length} bytes`);
    return decoder.decode(texts.subarray(index, end));
  };
  return {
    match(bytes, start, end, longest) {
      let found = -1;
      let length = 0;
      let at = offsetOf(units[0] ?? 0);
      for (let i = start; i < end; i++) {
        const byte = bytes[i]!;
        if (byte === 0) break;
        at ^= byte;
        const unit = units[at];
        if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) break;
        at ^= offsetOf(unit);
        if ((unit & 0x100) === 0) continue;
        const value = units[at];
        if (value === undefined) break;
        found = value & 0x7fffffff;
        length = i - start + 1;
        if (!longest) break;
      }
      return found < 0 ? undefined : { replacement: textAt(found), length };
    },
  };
}

const encoder = new TextEncoder();

/** Every prefix the map knows replaced, the longest first: SentencePiece's own way. */
export function normalizeLongest(map: CharacterMap, text: string): string {
  const bytes = encoder.encode(text);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let result = "";
  let kept = 0;
  for (let at = 0; at < bytes.length;) {
    const found = map.match(bytes, at, bytes.length, true);
    if (found === undefined) {
      do at++;
      while (at < bytes.length && (bytes[at]! & 0xc0) === 0x80);
      continue;
    }
    result += decoder.decode(bytes.subarray(kept, at)) + found.replacement;
    at += found.length;
    kept = at;
  }
  return result + decoder.decode(bytes.subarray(kept));
}

/** Grapheme by grapheme, else character by character, the shortest prefix deciding: the way of tokenizer.json's Precompiled. */
export function normalizeGraphemes(map: CharacterMap, text: string): string {
  const replaced = (part: string): string | undefined => {
    const bytes = encoder.encode(part);
    return map.match(bytes, 0, bytes.length, false)?.replacement;
  };
  const known = new Map<string, string>();
  let result = "";
  for (const { segment } of new Intl.Segmenter("en", { granularity: "grapheme" }).segment(text)) {
    let normal = known.get(segment);
    if (normal === undefined) {
      normal = encoder.encode(segment).length < 6 ? replaced(segment) : undefined;
      normal ??= Array.from(segment, (character) => replaced(character) ?? character).join("");
      if (known.size < 4096) known.set(segment, normal);
    }
    result += normal;
  }
  return result;
}

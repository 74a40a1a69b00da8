/** Which id a piece of text has: an open-addressing hash over the pieces' own bytes, because a JS string and a Map entry each for 262,144 pieces cost 30 MB and 100 ms. */
import { FrugalError } from "../tensor/error.ts";
import type { StringTable } from "../tensor/strings.ts";

export interface Vocabulary {
  readonly pieces: StringTable;
  /** Bytes of the longest piece that can be found. */
  readonly longest: number;
  /** The id of the piece equal to `bytes[start, end)`, or -1. Of equal pieces the first counts. */
  find(bytes: Uint8Array, start: number, end: number): number;
  /** The id of the piece spelled `piece`, or -1. */
  findText(piece: string): number;
}

const encoder = new TextEncoder();
/** Ids lie below this bit, the tag above. */
const tagUnit = 1 << 24;
const tagMask = ~(tagUnit - 1);

/**
 * A vocabulary in which the pieces for which `included` answers true can be found.
 * @param included which ids text may become; all where absent.
 */
export function vocabulary(pieces: StringTable, included?: (id: number) => boolean): Vocabulary {
  const { bytes: held, offsets, length } = pieces;
  let capacity = 16;
  while (capacity < length * 2) capacity *= 2;
  const mask = capacity - 1;
  if (length >= tagUnit)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `tokenizer: ${length} pieces are more than ${tagUnit - 1}`, { length });
  // A slot holds id + 1 and, in its top byte, a part of the hash: at 4 bytes a slot the table of 262,144 pieces fits a second-level
  // cache, which halves the time to fill it against 8 bytes; the tag spares nearly all comparisons of bytes.
  const slots = new Int32Array(capacity);
  let longest = 0;

  /** The id found, or the complement of the free slot. */
  const probe = (hash: number, bytes: Uint8Array, start: number, size: number): number => {
    const tag = hash >>> 24;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot]!;
      if (entry === 0) return ~slot;
      if (entry >>> 24 !== tag) continue;
      const id = (entry & (tagUnit - 1)) - 1;
      const at = offsets[id]!;
      if (offsets[id + 1]! - at !== size) continue;
      let i = 0;
      while (i < size && held[at + i] === bytes[start + i]) i++;
      if (i === size) return id;
    }
  };

  let start = length === 0 ? 0 : offsets[0]!;
  for (let id = 0; id < length; id++) {
    const end = offsets[id + 1]!;
    const size = end - start;
    if (included === undefined || included(id)) {
      const hash = hashBytes(held, start, end);
      const found = probe(hash, held, start, size);
      if (found < 0) {
        slots[~found] = (hash & tagMask) | (id + 1);
        if (size > longest) longest = size;
      }
    }
    start = end;
  }

  const find = (bytes: Uint8Array, start: number, end: number): number => {
    if (end - start > longest) return -1;
    const found = probe(hashBytes(bytes, start, end), bytes, start, end - start);
    return found < 0 ? -1 : found;
  };
  return {
    pieces,
    longest,
    find,
    findText: (piece) => {
      const bytes = encoder.encode(piece);
      return find(bytes, 0, bytes.length);
    },
  };
}

function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  // FNV's low bits alone cluster: mix once more.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

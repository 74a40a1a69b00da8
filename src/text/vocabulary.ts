/** Which id a piece of text has: an open-addressing hash over the pieces' own bytes, because a JS string and a Map entry each for 262,144 pieces cost 30 MB and 100 ms. */
import { type StringTable } from "../tensor/strings.ts";

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

/**
 * A vocabulary in which the pieces for which `included` answers true can be found.
 * @param included which ids text may become; all where absent.
 */
export function vocabulary(pieces: StringTable, included?: (id: number) => boolean): Vocabulary {
  const { bytes: held, offsets, length } = pieces;
  let capacity = 16;
  while (capacity < length * 2) capacity *= 2;
  const mask = capacity - 1;
  // Slots hold id + 1 beside the hash, so a probe rarely touches the pieces' bytes.
  const slots = new Int32Array(capacity);
  const hashes = new Int32Array(capacity);
  let longest = 0;

  const probe = (hash: number, bytes: Uint8Array, start: number, size: number): number => {
    let slot = spread(hash) & mask;
    for (;;) {
      const entry = slots[slot]!;
      if (entry === 0) return ~slot;
      if (hashes[slot] === hash) {
        const at = offsets[entry - 1]!;
        if (offsets[entry]! - at === size) {
          let i = 0;
          while (i < size && held[at + i] === bytes[start + i]) i++;
          if (i === size) return entry - 1;
        }
      }
      slot = (slot + 1) & mask;
    }
  };

  for (let id = 0; id < length; id++) {
    if (included !== undefined && !included(id)) continue;
    const start = offsets[id]!;
    const end = offsets[id + 1]!;
    const hash = hashBytes(held, start, end);
    const found = probe(hash, held, start, end - start);
    if (found >= 0) continue;
    slots[~found] = id + 1;
    hashes[~found] = hash;
    if (end - start > longest) longest = end - start;
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
  return hash;
}

// FNV's low bits alone cluster; fold the high ones in.
const spread = (hash: number): number => hash ^ (hash >>> 15);

/** Sets of characters as the byte sequences that spell them, range by range (after Thompson's and Cox's UTF-8 automata). */
import { type CharacterSet, pairs } from "./character-set.ts";

/** One to four ranges of bytes: every choice of one byte of each is a character of the set. */
export type ByteRanges = readonly (readonly [low: number, high: number])[];

/** Where characters need one byte more, and where continuation bytes begin anew. */
const lengths = [0x80, 0x800, 0x10000, 0x110000];

export function utf8Ranges(set: CharacterSet): ByteRanges[] {
  const found: ByteRanges[] = [];
  for (const [low, high] of pairs(set)) {
    let from = low;
    for (let size = 1; size <= 4; size++) {
      const to = Math.min(high, lengths[size - 1]! - 1);
      if (from > to) continue;
      split(from, to, size, found);
      from = to + 1;
    }
  }
  return found;
}

function split(low: number, high: number, size: number, found: ByteRanges[]): void {
  for (let bytes = 1; bytes < size; bytes++) {
    const mask = (1 << (6 * bytes)) - 1;
    if (low >> (6 * bytes) === high >> (6 * bytes)) continue;
    if ((low & mask) !== 0) {
      split(low, low | mask, size, found);
      split((low | mask) + 1, high, size, found);
      return;
    }
    if ((high & mask) !== mask) {
      split(low, (high & ~mask) - 1, size, found);
      split(high & ~mask, high, size, found);
      return;
    }
  }
  const [a, b] = [utf8(low, size), utf8(high, size)];
  found.push(a.map((byte, i) => [byte, b[i]!] as const));
}

const leads = [0, 0, 0xc0, 0xe0, 0xf0];

function utf8(point: number, size: number): number[] {
  if (size === 1) return [point];
  const bytes = [leads[size]! | (point >> (6 * (size - 1)))];
  for (let i = size - 2; i >= 0; i--) bytes.push(0x80 | ((point >> (6 * i)) & 0x3f));
  return bytes;
}

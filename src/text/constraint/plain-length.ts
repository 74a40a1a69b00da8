/** How many plain characters a token is made of. */
import { hasCharacter, intersectSets, plainCharacters } from "./character-set.ts";

/** Characters of bytes that are plain characters, the beginning of one at the end counted as one; -1 where they are anything else. */
export function plainLength(bytes: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < bytes.length; count++) {
    const lead = bytes[at]!;
    if (lead < 0x80) {
      if (lead < 0x20 || lead === 0x22 || lead === 0x5c || lead === 0x7f) return -1;
      at++;
      continue;
    }
    if (lead < 0xc2 || lead > 0xf4) return -1;
    const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    let point = lead & (0xff >> (size + 1));
    let held = 1;
    for (; held < size && at + held < bytes.length; held++) {
      const byte = bytes[at + held]!;
      if (byte < 0x80 || byte > 0xbf) return -1;
      point = (point << 6) | (byte & 0x3f);
    }
    // The characters that these bytes may still become.
    const low = point << (6 * (size - held));
    const high = low + (1 << (6 * (size - held))) - 1;
    const shortest = size === 2 ? 0x80 : size === 3 ? 0x800 : 0x10000;
    if (high < shortest) return -1;
    if (held === size ? low < shortest || !hasCharacter(plainCharacters, point) : !anyPlain(Math.max(low, shortest), high)) return -1;
    at += held;
  }
  return count;
}

const anyPlain = (low: number, high: number): boolean => intersectSets([low, high], plainCharacters).length > 0;

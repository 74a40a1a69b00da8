/** How characters stand in JSON strings. */
import { type CharacterSet, characterSet, minusSet } from "./character-set.ts";

/** Characters that stand for themselves in a JSON string (RFC 8259, section 7). */
export const jsonPlain: CharacterSet = minusSet(
  characterSet([[0x20, 0x10ffff]]),
  characterSet([
    [0x22, 0x22],
    [0x5c, 0x5c],
  ]),
);

/** The characters that need an escape. */
export const jsonEscaped: readonly number[] = [...Array(0x20).keys(), 0x22, 0x5c];

/** The escape that JSON.stringify writes, which is also the only one we let stand where the text between the quotes matters. */
export const escapeOf = (point: number): string => JSON.stringify(String.fromCodePoint(point)).slice(1, -1);

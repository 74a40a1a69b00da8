/** How BERT cleans text and cuts it into words before WordPiece. */

export interface BertCleaning {
  readonly cleanText: boolean;
  readonly separateHan: boolean;
  readonly stripAccents: boolean;
  readonly lowercase: boolean;
}

const space = "\\p{White_Space}";
const dropped = new RegExp(`[\\u{0}\\u{fffd}]|(?![\\t\\n\\r])[\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}]`, "gv");
// Blocks of Han characters as BERT lists them, with the gap at U+2B820 that the Rust implementation has.
const han =
  /[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]/gv;
const spaces = new RegExp(space, "gv");
const words = new RegExp(`[\\p{P}!-\\/:-@\\[-\`\\{-~]|[^${space}\\p{P}!-\\/:-@\\[-\`\\{-~]+`, "gv");

/** BERT's normalization: control characters out, all white space to spaces, Han characters apart, accents off, small letters. */
export function cleanBert(text: string, { cleanText, separateHan, stripAccents, lowercase }: BertCleaning): string {
  let result = text;
  if (cleanText) result = result.replace(dropped, "").replace(spaces, " ");
  if (separateHan) result = result.replace(han, " $& ");
  if (stripAccents) result = result.normalize("NFD").replace(/\p{Mn}/gv, "");
  return lowercase ? lowerEach(result) : result;
}

/** Small letters, character by character: a final sigma is no special case, as it is for whole strings in JavaScript. */
export const lowerEach = (text: string): string =>
  text.includes("\u03a3") ? Array.from(text, (character) => character.toLowerCase()).join("") : text.toLowerCase();

/** Words between white space, every punctuation character a word of its own. */
export const bertWords = (text: string): readonly string[] => text.match(words) ?? [];

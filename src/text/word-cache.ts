/** Ids of words seen before: most of a text is a few thousand words, and a look-up is ten times cheaper than merging again. */
import type { TokenBuffer } from "./token-buffer.ts";

const longestWord = 48;
const mostWords = 1 << 15;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
// A slice of a long text keeps all of it alive; a key must not.
const ownCopy = (word: string): string => decoder.decode(encoder.encode(word));

/** `encode` with a memory of at most 32,768 short words; when it is full, it starts anew. */
export function rememberWords(encode: (word: string, output: TokenBuffer) => void): (word: string, output: TokenBuffer) => void {
  const known = new Map<string, Int32Array>();
  return (word, output) => {
    if (word.length > longestWord) return encode(word, output);
    const ids = known.get(word);
    if (ids !== undefined) return output.append(ids);
    const start = output.length;
    encode(word, output);
    if (known.size === mostWords) known.clear();
    known.set(ownCopy(word), output.take(start));
  };
}

/** WordPiece: each word is cut greedily into the longest pieces known. (Schuster and Nakajima 2012; BERT, arXiv 1810.04805.) */
import type { TokenBuffer } from "./token-buffer.ts";
import { utf8Buffer, writeUtf8 } from "./utf8.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { rememberWords } from "./word-cache.ts";

export interface WordPieces {
  readonly vocabulary: Vocabulary;
  /** Stands for a word that cannot be cut into pieces, or -1 to leave it out. */
  readonly unknown: number;
  /** How pieces at a word's start and inside a word begin: "" and "##" in BERT's own files, U+2581 and "" in GGUF. */
  readonly startPrefix: string;
  readonly continuingPrefix: string;
  /** Characters beyond which a word counts as unknown. */
  readonly longestWord: number;
}

export function wordPieceEncoder(options: WordPieces): (word: string, output: TokenBuffer) => void {
  const { vocabulary, unknown, longestWord } = options;
  const buffer = utf8Buffer();
  const encoder = new TextEncoder();
  const start = encoder.encode(options.startPrefix);
  const continuing = encoder.encode(options.continuingPrefix);
  let spelled = new Uint8Array(vocabulary.longest + 8);
  return rememberWords((word, output) => {
    writeUtf8(buffer, word);
    const { bytes, starts, characters } = buffer;
    if (characters === 0) return;
    const ids: number[] = [];
    for (let at = 0; at < characters && characters <= longestWord;) {
      const prefix = at === 0 ? start : continuing;
      const first = starts[at]!;
      const most = vocabulary.longest - prefix.length;
      let end = characters;
      if (starts[end]! - first > most) for (end = at; end < characters && starts[end + 1]! - first <= most;) end++;
      if (prefix.length + most > spelled.length) spelled = new Uint8Array(prefix.length + most);
      spelled.set(prefix);
      spelled.set(bytes.subarray(first, starts[end]!), prefix.length);
      let id = -1;
      for (; end > at; end--) {
        id = vocabulary.find(spelled, 0, prefix.length + starts[end]! - first);
        if (id >= 0) break;
      }
      if (id < 0) break;
      ids.push(id);
      at = end;
      if (at === characters) return output.append(ids);
    }
    if (unknown >= 0) output.push(unknown);
  });
}

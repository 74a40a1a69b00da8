/** Unigram: the cut of a text whose pieces' log probabilities sum highest, found by Viterbi's algorithm. (Kudo 2018, arXiv 1804.10959.) */
import type { StringTable } from "../tensor/strings.ts";
import { byteTrie } from "./byte-trie.ts";
import type { TokenBuffer } from "./token-buffer.ts";
import { utf8Buffer, writeUtf8 } from "./utf8.ts";

export interface UnigramPieces {
  readonly pieces: StringTable;
  /** Which pieces text may become. */
  readonly included: (id: number) => boolean;
  /** Log probability of each piece. */
  readonly score: (id: number) => number;
  /** Score of a character that no piece is. */
  readonly unknownScore: number;
  /** Stands for a run of such characters. */
  readonly unknown: number;
  /** Spells such characters in bytes instead. */
  readonly byteIds?: Int32Array;
}

export function unigramEncoder(options: UnigramPieces): (text: string, output: TokenBuffer) => void {
  const { pieces, included, score, unknownScore, unknown, byteIds } = options;
  const trie = byteTrie(pieces, included);
  const buffer = utf8Buffer();
  let best = new Float64Array(1024);
  let from = new Int32Array(1024);
  let chosen = new Int32Array(1024);

  return (text, output) => {
    writeUtf8(buffer, text);
    const { bytes, starts, characters, length } = buffer;
    if (length === 0) return;
    if (best.length <= length) {
      best = new Float64Array(length + 1);
      from = new Int32Array(length + 1);
      chosen = new Int32Array(length + 1);
    }
    best.fill(-Infinity, 0, length + 1);
    best[0] = 0;
    for (let i = 0; i < characters; i++) {
      const start = starts[i]!;
      const end = starts[i + 1]!;
      const sum = best[start]!;
      let single = false;
      let node = 0;
      for (let at = start; at < length;) {
        node = trie.step(node, bytes[at++]!);
        if (node < 0) break;
        const id = trie.pieceAt(node);
        if (id < 0) continue;
        if (at === end) single = true;
        const challenger = sum + score(id);
        if (challenger > best[at]!) {
          best[at] = challenger;
          from[at] = start;
          chosen[at] = id;
        }
      }
      if (!single && sum + unknownScore > best[end]!) {
        best[end] = sum + unknownScore;
        from[end] = start;
        chosen[end] = -1;
      }
    }
    const path: number[] = [];
    for (let at = length; at > 0; at = from[at]!) path.push(at);
    for (let i = path.length - 1; i >= 0; i--) {
      const id = chosen[path[i]!]!;
      if (id >= 0) {
        output.push(id);
        continue;
      }
      const start = from[path[i]!]!;
      while (i > 0 && chosen[path[i - 1]!] === -1) i--;
      const end = path[i]!;
      if (byteIds !== undefined && spellable(byteIds, bytes, start, end)) {
        for (let at = start; at < end; at++) output.push(byteIds[bytes[at]!]!);
      } else if (unknown >= 0) output.push(unknown);
    }
  };
}

function spellable(byteIds: Int32Array, bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (byteIds[bytes[at]!]! < 0) return false;
  return true;
}

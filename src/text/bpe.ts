/** BPE by merge rules: a list says which two pieces merge into which, the earlier rule first. (Sennrich et al. 2016, arXiv 1508.07909.) */
import { FrugalError } from "../tensor/error.ts";
import { merger, type MergeRule } from "./merge.ts";
import type { TokenBuffer } from "./token-buffer.ts";
import { utf8Buffer, writeUtf8 } from "./utf8.ts";
import type { Vocabulary } from "./vocabulary.ts";
import { rememberWords } from "./word-cache.ts";

export interface MergeTable {
  /** Appends the next rule; of two rules for one pair the first counts. */
  add(left: number, right: number, result: number): void;
  /** The rank of the rule for this pair, or -1. */
  rank(left: number, right: number): number;
  /** What the rule of this rank makes. */
  result(rank: number): number;
}

/** Room for `count` merge rules, in typed arrays: 514,906 rules of Gemma's size cost 20 MB and no objects. */
export function mergeTable(count: number): MergeTable {
  let capacity = 16;
  while (capacity < count * 2) capacity *= 2;
  const mask = capacity - 1;
  const slots = new Int32Array(capacity); // rank + 1
  const lefts = new Int32Array(count);
  const rights = new Int32Array(count);
  const results = new Int32Array(count);
  let length = 0;
  const probe = (left: number, right: number): number => {
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot]!;
      if (entry === 0) return ~slot;
      if (lefts[entry - 1] === left && rights[entry - 1] === right) return entry - 1;
    }
  };
  return {
    add(left, right, result) {
      if (length === count) throw new FrugalError("FRUGAL_INTERNAL", `text: a merge table of ${count} rules is full`, { count });
      const slot = probe(left, right);
      lefts[length] = left;
      rights[length] = right;
      results[length] = result;
      length++;
      if (slot < 0) slots[~slot] = length;
    },
    rank: (left, right) => {
      const found = probe(left, right);
      return found < 0 ? -1 : found;
    },
    result: (rank) => results[rank]!,
  };
}

/** A rule over a merge table. */
export function tableRule(merges: MergeTable): MergeRule {
  const candidate = { priority: 0 };
  return {
    candidate,
    merged(left, right) {
      if (left < 0 || right < 0) return -1;
      const rank = merges.rank(left, right);
      candidate.priority = rank;
      return rank < 0 ? -1 : merges.result(rank);
    },
  };
}

export interface ByteMerges {
  /** Over the bytes the pieces stand for. */
  readonly vocabulary: Vocabulary;
  readonly merges: MergeTable;
  /** A word that is a piece is taken whole, whatever the rules say. */
  readonly wholeWords: boolean;
  /** Stands for a byte that is no piece, or -1 to leave it out. */
  readonly unknown: number;
}

/** Encodes one word at a time, starting from its bytes. */
export function byteEncoder({ vocabulary, merges, wholeWords, unknown }: ByteMerges): (word: string, output: TokenBuffer) => void {
  const buffer = utf8Buffer();
  const merging = merger();
  const rule = tableRule(merges);
  const byteIds = new Int32Array(256);
  const one = new Uint8Array(1);
  for (let byte = 0; byte < 256; byte++) {
    one[0] = byte;
    byteIds[byte] = vocabulary.find(one, 0, 1);
  }
  return rememberWords((word, output) => {
    writeUtf8(buffer, word);
    const { bytes, length } = buffer;
    if (wholeWords) {
      const id = vocabulary.find(bytes, 0, length);
      if (id >= 0) return output.push(id);
    }
    const ids = merging.symbols(length);
    for (let i = 0; i < length; i++) ids[i] = byteIds[bytes[i]!]!;
    merging.run(length, rule, (id) => {
      if (id >= 0) output.push(id);
      else if (unknown >= 0) output.push(unknown);
    });
  });
}

export interface CharacterMerges {
  /** Over the pieces as written. */
  readonly vocabulary: Vocabulary;
  readonly merges: MergeTable;
  readonly wholeWords: boolean;
  /** Ids of the byte pieces for characters that are no piece, or undefined for no fallback. */
  readonly byteIds?: Int32Array;
  readonly unknown: number;
  /** Neighbouring unknown characters become one unknown id. */
  readonly fuseUnknown: boolean;
  /** Written before every character of a word but the first ("##"), and after the last ("</w>"). */
  readonly continuingPrefix: string;
  readonly wordSuffix: string;
}

/** Encodes one word at a time, starting from its characters. */
export function characterEncoder(options: CharacterMerges): (word: string, output: TokenBuffer) => void {
  const { vocabulary, merges, wholeWords, byteIds, unknown, fuseUnknown, continuingPrefix, wordSuffix } = options;
  const plain = continuingPrefix === "" && wordSuffix === "";
  const buffer = utf8Buffer();
  const merging = merger();
  const rule = tableRule(merges);
  return rememberWords((word, output) => {
    writeUtf8(buffer, word);
    const { bytes, starts, characters, length } = buffer;
    if (wholeWords) {
      const id = vocabulary.find(bytes, 0, length);
      if (id >= 0) return output.push(id);
    }
    const ids = merging.symbols(length);
    const spelled = plain ? undefined : Array.from(word);
    let count = 0;
    for (let i = 0; i < characters; i++) {
      const id =
        spelled === undefined
          ? vocabulary.find(bytes, starts[i]!, starts[i + 1]!)
          : vocabulary.findText((i > 0 ? continuingPrefix : "") + spelled[i]! + (i === characters - 1 ? wordSuffix : ""));
      if (id < 0 && byteIds !== undefined && hasBytes(byteIds, bytes, starts[i]!, starts[i + 1]!)) {
        for (let at = starts[i]!; at < starts[i + 1]!; at++) ids[count++] = byteIds[bytes[at]!]!;
      } else {
        ids[count++] = id;
      }
    }
    let wasUnknown = false;
    merging.run(count, rule, (id) => {
      if (id >= 0) output.push(id);
      else if (unknown >= 0 && !(wasUnknown && fuseUnknown)) output.push(unknown);
      wasUnknown = id < 0;
    });
  });
}

function hasBytes(byteIds: Int32Array, bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (byteIds[bytes[at]!]! < 0) return false;
  return true;
}

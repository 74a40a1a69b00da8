/**
 * Learns a byte-level BPE vocabulary from text: the pair of neighbours seen most often becomes a piece, again and again, over words counted
 * once each. (Sennrich et al. 2016, arXiv 1508.07909; bytes and words as in GPT-2, Radford et al. 2019.) The merges are those that Hugging
 * Face's BpeTrainer finds: of pairs seen equally often, the one with the lower ids is taken.
 */
import { FrugalError } from "../tensor/error.ts";
import { alphabet } from "./byte-alphabet.ts";
import * as patterns from "./patterns.ts";
import { patternSplitter } from "./split.ts";

export interface TrainOptions {
  /** Pieces in all: special ones, 256 bytes, and what is learned. Fewer where the text has no more pairs. */
  readonly vocabulary: number;
  /** Pieces that no text becomes; they have the first ids. */
  readonly special?: readonly string[];
  /** A pair seen less often makes no piece. Default 2. */
  readonly leastCount?: number;
  /** A regular expression whose matches, and the stretches between them, are words, over which no piece reaches. Default GPT-2's. */
  readonly words?: string;
}

export interface TrainedMerges {
  /** By id, spelled in GPT-2's alphabet; special ones as they are. */
  readonly pieces: readonly string[];
  /** How many of the first pieces are special. */
  readonly special: number;
  /** Pairs of pieces, the first rule first. */
  readonly merges: readonly (readonly [left: string, right: string])[];
}

/**
 * Learns from `texts`, each read once. Deterministic: the order of texts changes nothing.
 * Throws FRUGAL_BAD_ARGUMENT for a vocabulary without room for the bytes, or special pieces that are no pieces of their own.
 */
export function trainMerges(texts: Iterable<string>, options: TrainOptions): TrainedMerges {
  const { vocabulary, special = [], leastCount = 2 } = options;
  checkOptions(vocabulary, special, leastCount);
  const pieces = [...special, ...alphabet.toSorted()];
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const { words, counts } = wordsOf(texts, ids, options.words ?? patterns.gpt2);
  const pairs = countPairs(words, counts);
  const queue = pairQueue();
  for (const [key, pair] of pairs) queue.push(pair.count, key);

  const merges: [string, string][] = [];
  while (pieces.length < vocabulary) {
    const best = queue.pop();
    if (best === undefined) break;
    const pair = pairs.get(best.key)!;
    if (pair.count !== best.count) {
      // Merges elsewhere took some of its places.
      if (pair.count >= leastCount) queue.push(pair.count, best.key);
      continue;
    }
    if (pair.count < leastCount) break;
    const [left, right] = [leftOf(best.key), rightOf(best.key)];
    const piece = pieces[left]! + pieces[right]!;
    merges.push([pieces[left]!, pieces[right]!]);
    // Two pairs may spell the same piece.
    const id = ids.get(piece) ?? pieces.push(piece) - 1;
    ids.set(piece, id);
    const changed = new Set<number>();
    for (const at of pair.words)
      mergeWord(words[at]!, left, right, id, (key, change) => note(pairs, changed, key, change * counts[at]!, at));
    pairs.delete(best.key);
    changed.delete(best.key);
    for (const key of changed) queue.push(pairs.get(key)!.count, key);
  }
  return { pieces, special: special.length, merges };
}

function checkOptions(vocabulary: number, special: readonly string[], leastCount: number): void {
  const wrong = (problem: string): FrugalError => new FrugalError("FRUGAL_BAD_ARGUMENT", `tokenizer: ${problem}`, { vocabulary });
  const least = 256 + special.length;
  if (!Number.isInteger(vocabulary) || vocabulary < least || vocabulary > mostPieces)
    throw wrong(
      `a vocabulary of ${vocabulary}; 256 bytes and ${special.length} special pieces need ${least}, and ${mostPieces} is the most`,
    );
  if (!Number.isInteger(leastCount) || leastCount < 1) throw wrong(`leastCount is ${leastCount}; give a whole number from 1`);
  const doubled = special.find((piece, i) => special.indexOf(piece) !== i || piece === "" || alphabet.includes(piece));
  if (doubled !== undefined)
    throw wrong(`the special piece ${JSON.stringify(doubled)} is empty, a byte, or there twice; give it another name`);
}

/** A pair of ids in one number, in the order that breaks ties. */
const mostPieces = 1 << 20;
const keyOf = (left: number, right: number): number => left * mostPieces + right;
const leftOf = (key: number): number => Math.floor(key / mostPieces);
const rightOf = (key: number): number => key % mostPieces;

/** Each word once, as the ids of its bytes, and how often it is there. */
function wordsOf(texts: Iterable<string>, ids: ReadonlyMap<string, number>, pattern: string): { words: number[][]; counts: number[] } {
  const seen = new Map<string, number>();
  const split = patternSplitter(pattern);
  for (const text of texts) split(text.toWellFormed(), (word) => seen.set(word, (seen.get(word) ?? 0) + 1));
  const encoder = new TextEncoder();
  const byteIds = alphabet.map((character) => ids.get(character)!);
  return { words: [...seen.keys()].map((word) => Array.from(encoder.encode(word), (byte) => byteIds[byte]!)), counts: [...seen.values()] };
}

interface Pair {
  count: number;
  /** Words that have or had it. */
  readonly words: Set<number>;
}

function countPairs(words: readonly (readonly number[])[], counts: readonly number[]): Map<number, Pair> {
  const pairs = new Map<number, Pair>();
  words.forEach((word, at) => {
    for (let i = 0; i + 1 < word.length; i++) add(pairs, keyOf(word[i]!, word[i + 1]!), counts[at]!, at);
  });
  return pairs;
}

function add(pairs: Map<number, Pair>, key: number, count: number, word: number): void {
  let pair = pairs.get(key);
  if (pair === undefined) pairs.set(key, (pair = { count: 0, words: new Set() }));
  pair.count += count;
  if (count > 0) pair.words.add(word);
}

function note(pairs: Map<number, Pair>, changed: Set<number>, key: number, count: number, word: number): void {
  add(pairs, key, count, word);
  if (count > 0) changed.add(key);
}

/** Merges every (left, right) of a word, leftmost first, and says how often which pairs came and went. */
function mergeWord(word: number[], left: number, right: number, id: number, onChange: (key: number, change: number) => void): void {
  let to = 0;
  for (let from = 0; from < word.length;) {
    if (word[from] !== left || from + 1 === word.length || word[from + 1] !== right) {
      word[to++] = word[from++]!;
      continue;
    }
    if (to > 0) {
      onChange(keyOf(word[to - 1]!, left), -1);
      onChange(keyOf(word[to - 1]!, id), 1);
    }
    if (from + 2 < word.length) {
      onChange(keyOf(right, word[from + 2]!), -1);
      onChange(keyOf(id, word[from + 2]!), 1);
    }
    word[to++] = id;
    from += 2;
  }
  word.length = to;
}

interface PairQueue {
  push(count: number, key: number): void;
  /** The pair with the largest count, of equals the one with the lowest key. */
  pop(): { readonly count: number; readonly key: number } | undefined;
}

/** A binary heap. */
function pairQueue(): PairQueue {
  const heap: { readonly count: number; readonly key: number }[] = [];
  const before = (a: number, b: number): boolean => {
    const [x, y] = [heap[a]!, heap[b]!];
    return x.count > y.count || (x.count === y.count && x.key < y.key);
  };
  const swap = (a: number, b: number): void => {
    const entry = heap[a]!;
    heap[a] = heap[b]!;
    heap[b] = entry;
  };
  return {
    push(count, key) {
      let at = heap.push({ count, key }) - 1;
      for (let parent = (at - 1) >> 1; at > 0 && before(at, parent); parent = (at - 1) >> 1) {
        swap(at, parent);
        at = parent;
      }
    },
    pop() {
      const top = heap[0];
      const last = heap.pop();
      if (heap.length === 0 || last === undefined) return top;
      heap[0] = last;
      for (let at = 0; ;) {
        let child = 2 * at + 1;
        if (child + 1 < heap.length && before(child + 1, child)) child++;
        if (child >= heap.length || !before(child, at)) return top;
        swap(at, child);
        at = child;
      }
    },
  };
}

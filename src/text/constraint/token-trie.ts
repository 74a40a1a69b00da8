/**
 * The vocabulary as a trie of bytes, laid out in the order in which it is walked: all tokens that a constraint allows are found in one pass
 * that skips what lies behind a byte it does not allow. Tokens of plain text, most of a vocabulary, stand in a trie of their own, because
 * inside a string they are all allowed and need not be walked.
 */
import type { Tokenizer } from "../tokenizer.ts";
import { plainLength } from "./plain-length.ts";

export interface TokenTrie {
  /** Of each node, in depth-first order: its byte, its depth from 1, where the nodes behind it end, and the tokens that end there. */
  readonly bytes: Uint8Array;
  readonly depths: Uint16Array;
  readonly ends: Int32Array;
  /** The first token at the node, or -1; others of the same bytes follow by `twins`. */
  readonly tokens: Int32Array;
}

export interface TokenTries {
  /** Ids a mask has room for. */
  readonly size: number;
  /** Tokens of few and only plain characters, perhaps with the beginning of one more, and all others. */
  readonly plain: TokenTrie;
  readonly other: TokenTrie;
  /** The next token of the same bytes, or -1. */
  readonly twins: Int32Array;
  /** Bytes of all tokens, and where each begins. */
  readonly text: Uint8Array;
  readonly offsets: Int32Array;
  readonly deepest: number;
  /** The tokens of `plain` of at most `i` characters, as masks; the last has all. */
  readonly plainMasks: readonly Int32Array[];
}

/** Longer tokens (runs of spaces) are walked like those that are not plain. */
const mostCounted = 31;
const milliseconds = 8;

/** @param skips ids that are no text. Gives way to others every few milliseconds: a vocabulary of 262,144 takes about half a second. */
export async function tokenTries(tokenizer: Tokenizer, size: number, skips: (id: number) => boolean): Promise<TokenTries> {
  const count = Math.min(size, tokenizer.vocabularySize);
  let until = performance.now() + milliseconds;
  const rest = async (): Promise<void> => {
    if (performance.now() < until) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    until = performance.now() + milliseconds;
  };
  const offsets = new Int32Array(count + 1);
  let text = new Uint8Array(count * 8 + 64);
  const lengths = new Uint8Array(count);
  const twins = new Int32Array(count).fill(-1);
  const [plain, other] = [grower(), grower()];
  let deepest = 0;
  for (let id = 0; id < count; id++) {
    if (id % 1024 === 0) await rest();
    const bytes = skips(id) ? empty : tokenizer.pieceBytes(id);
    const at = offsets[id]!;
    offsets[id + 1] = at + bytes.length;
    if (at + bytes.length > text.length) {
      const larger = new Uint8Array(2 * (at + bytes.length));
      larger.set(text);
      text = larger;
    }
    text.set(bytes, at);
    // Tokens beyond 65,535 bytes are nobody's word.
    if (bytes.length === 0 || bytes.length > 0xffff) continue;
    deepest = Math.max(deepest, bytes.length);
    const length = plainLength(bytes);
    const isPlain = length > 0 && length <= mostCounted;
    if (isPlain) lengths[id] = length;
    const before = (isPlain ? plain : other).add(bytes, id);
    if (before >= 0) {
      twins[id] = twins[before]!;
      twins[before] = id;
    }
  }
  const plainMasks: Int32Array[] = [];
  for (let most = 0; most <= mostCounted; most++) {
    await rest();
    const mask = new Int32Array((size + 31) >> 5);
    for (let id = 0; id < count; id++) if (lengths[id]! > 0 && lengths[id]! <= most) mask[id >> 5]! |= 1 << (id & 31);
    plainMasks.push(mask);
  }
  await rest();
  const packedPlain = plain.pack();
  await rest();
  return { size, plain: packedPlain, other: other.pack(), twins, text: text.slice(0, offsets[count]), offsets, deepest, plainMasks };
}

const empty = new Uint8Array(0);

/** A trie that grows: children as lists of siblings, found through one hash table. */
function grower(): { add(bytes: Uint8Array, id: number): number; pack(): TokenTrie } {
  let capacity = 1 << 12;
  let keys = new Float64Array(capacity).fill(-1);
  let targets = new Int32Array(capacity);
  const [bytes, firsts, nexts, tokens] = [[0], [-1], [-1], [-1]];
  const slotOf = (key: number): number => {
    let slot = Math.imul(key | 0, 0x9e3779b1) ^ Math.imul((key / 0x100000000) | 0, 0x85ebca6b);
    slot = (slot ^ (slot >>> 15)) & (capacity - 1);
    while (keys[slot] !== -1 && keys[slot] !== key) slot = (slot + 1) & (capacity - 1);
    return slot;
  };
  const grow = (): void => {
    const [oldKeys, oldTargets] = [keys, targets];
    capacity *= 2;
    keys = new Float64Array(capacity).fill(-1);
    targets = new Int32Array(capacity);
    for (let i = 0; i < oldKeys.length; i++) {
      if (oldKeys[i] === -1) continue;
      const slot = slotOf(oldKeys[i]!);
      keys[slot] = oldKeys[i]!;
      targets[slot] = oldTargets[i]!;
    }
  };
  return {
    /** The token that was there already, or -1. */
    add(piece, id) {
      let node = 0;
      for (const byte of piece) {
        const key = node * 256 + byte;
        let slot = slotOf(key);
        if (keys[slot] === -1) {
          if (bytes.length * 2 > capacity) {
            grow();
            slot = slotOf(key);
          }
          keys[slot] = key;
          targets[slot] = bytes.length;
          nexts.push(firsts[node]!);
          firsts[node] = bytes.length;
          bytes.push(byte);
          firsts.push(-1);
          tokens.push(-1);
        }
        node = targets[slot]!;
      }
      const before = tokens[node]!;
      if (before < 0) tokens[node] = id;
      return before;
    },
    pack() {
      const count = bytes.length - 1;
      const packed: TokenTrie = {
        bytes: new Uint8Array(count),
        depths: new Uint16Array(count),
        ends: new Int32Array(count),
        tokens: new Int32Array(count),
      };
      // On the way down a node is written, on the way up its end is known.
      const path: number[] = [];
      const origin = new Int32Array(count);
      let at = 0;
      let node = firsts[0]!;
      while (node >= 0 || path.length > 0) {
        if (node < 0) {
          const written = path.pop()!;
          packed.ends[written] = at;
          node = nexts[origin[written]!]!;
          continue;
        }
        packed.bytes[at] = bytes[node]!;
        packed.tokens[at] = tokens[node]!;
        path.push(at);
        packed.depths[at] = path.length;
        origin[at++] = node;
        node = firsts[node]!;
      }
      return packed;
    },
  };
}

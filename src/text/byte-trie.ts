/** A trie over the bytes of pieces, in one hash table: which pieces does a text begin with? */
import type { StringTable } from "../tensor/strings.ts";

export interface ByteTrie {
  /** The node that `byte` leads to from `node`, or -1. The root is 0. */
  step(node: number, byte: number): number;
  /** The piece that ends at `node`, or -1. */
  pieceAt(node: number): number;
}

export function byteTrie(pieces: StringTable, included: (id: number) => boolean): ByteTrie {
  const { bytes, offsets, length } = pieces;
  let capacity = 1024;
  let mask = capacity - 1;
  let froms = new Int32Array(capacity).fill(-1); // node * 256 + byte
  let tos = new Int32Array(capacity);
  let ends = new Int32Array(512).fill(-1);
  let nodes = 1;

  const slotOf = (key: number): number => {
    let slot = Math.imul(key, 0x9e3779b1);
    slot = (slot ^ (slot >>> 15)) & mask;
    while (froms[slot] !== -1 && froms[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  };
  const grow = (): void => {
    const [oldFroms, oldTos] = [froms, tos];
    capacity *= 2;
    mask = capacity - 1;
    froms = new Int32Array(capacity).fill(-1);
    tos = new Int32Array(capacity);
    for (let i = 0; i < oldFroms.length; i++) {
      if (oldFroms[i] === -1) continue;
      const slot = slotOf(oldFroms[i]!);
      froms[slot] = oldFroms[i]!;
      tos[slot] = oldTos[i]!;
    }
    const more = new Int32Array(capacity).fill(-1);
    more.set(ends);
    ends = more;
  };

  for (let id = 0; id < length; id++) {
    if (offsets[id] === offsets[id + 1] || !included(id)) continue;
    let node = 0;
    for (let at = offsets[id]!; at < offsets[id + 1]!; at++) {
      const key = node * 256 + bytes[at]!;
      let slot = slotOf(key);
      if (froms[slot] === -1) {
        if (nodes * 2 >= capacity) {
          grow();
          slot = slotOf(key);
        }
        froms[slot] = key;
        tos[slot] = nodes++;
      }
      node = tos[slot]!;
    }
    if (ends[node] === -1) ends[node] = id;
  }
  return {
    step(node, byte) {
      const slot = slotOf(node * 256 + byte);
      return froms[slot] === -1 ? -1 : tos[slot]!;
    },
    pieceAt: (node) => ends[node]!,
  };
}

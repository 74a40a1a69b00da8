/**
 * Greedy merging of neighbours, best priority first, leftmost among equals: the loop that both kinds of BPE share.
 * A heap of candidates makes it O(n log n), so a word of a megabyte takes about a second and not hours.
 */

/**
 * What merging the symbols `left` and `right` gives, where symbol ids are pieces and `start`, `end` are the positions in
 * initial symbols that both together cover. Answers the new id, or -1 for "do not merge", and leaves the priority
 * (smaller merges first) in `candidate.priority`.
 */
export interface MergeRule {
  readonly candidate: { priority: number };
  merged(left: number, right: number, start: number, end: number): number;
}

const dead = -2;

export interface Merger {
  /** Symbols to be filled in by the caller before `run`: ids of the initial symbols, -1 for one that is no piece. */
  symbols(count: number): Int32Array;
  /** Merges the first `count` symbols under `rule`; then calls `emit(id, start, end)` for each that remains, in order. */
  run(count: number, rule: MergeRule, emit: (id: number, start: number, end: number) => void): void;
}

/** Working memory is kept from call to call, but never more than `keep` symbols' worth. */
export function merger(keep: number = 1 << 16): Merger {
  let ids = new Int32Array(256);
  let ends = new Int32Array(256);
  let starts = new Int32Array(257); // starts[p]: where the symbol that ends at p begins
  let heap = candidates(256);

  const grow = (count: number): void => {
    if (count <= ids.length) return;
    const size = Math.max(count, ids.length * 2);
    ids = new Int32Array(size);
    ends = new Int32Array(size);
    starts = new Int32Array(size + 1);
  };

  return {
    symbols(count) {
      grow(count);
      return ids;
    },
    run(count, rule, emit) {
      const { candidate } = rule;
      const offer = (left: number, middle: number, end: number): void => {
        const id = rule.merged(ids[left]!, ids[middle]!, left, end);
        if (id >= 0) heap.push(candidate.priority, left, end, id);
      };
      for (let i = 0; i < count; i++) {
        ends[i] = i + 1;
        starts[i + 1] = i;
      }
      for (let i = 0; i + 1 < count; i++) offer(i, i + 1, i + 2);

      while (heap.pop()) {
        const { left, end, id } = heap.top;
        // Stale unless the left symbol still lives and its neighbour still ends where the candidate ends.
        if (ids[left] === dead) continue;
        const middle = ends[left]!;
        if (middle >= count || middle >= end || ends[middle] !== end) continue;
        ids[left] = id;
        ids[middle] = dead;
        ends[left] = end;
        starts[end] = left;
        if (left > 0) offer(starts[left]!, left, end);
        if (end < count) offer(left, end, ends[end]!);
      }
      for (let i = 0; i < count; i = ends[i]!) emit(ids[i]!, i, ends[i]!);
      if (ids.length > keep) {
        ids = new Int32Array(256);
        ends = new Int32Array(256);
        starts = new Int32Array(257);
        heap = candidates(256);
      }
    },
  };
}

interface Candidates {
  readonly top: { left: number; end: number; id: number };
  push(priority: number, left: number, end: number, id: number): void;
  /** Moves the best candidate into `top`; false where none is left. */
  pop(): boolean;
}

function candidates(capacity: number): Candidates {
  let priorities = new Float64Array(capacity);
  // left, end and id of each, side by side.
  let entries = new Int32Array(capacity * 3);
  let size = 0;
  const top = { left: 0, end: 0, id: 0 };

  const place = (at: number, priority: number, left: number, end: number, id: number): void => {
    priorities[at] = priority;
    const e = at * 3;
    entries[e] = left;
    entries[e + 1] = end;
    entries[e + 2] = id;
  };
  const move = (to: number, from: number): void => {
    priorities[to] = priorities[from]!;
    const t = to * 3;
    const f = from * 3;
    entries[t] = entries[f]!;
    entries[t + 1] = entries[f + 1]!;
    entries[t + 2] = entries[f + 2]!;
  };
  return {
    top,
    push(priority, left, end, id) {
      if (size === priorities.length) {
        const more = new Float64Array(size * 2);
        more.set(priorities);
        priorities = more;
        const larger = new Int32Array(size * 6);
        larger.set(entries);
        entries = larger;
      }
      let at = size++;
      while (at > 0) {
        const parent = (at - 1) >> 1;
        const other = priorities[parent]!;
        if (other < priority || (other === priority && entries[parent * 3]! <= left)) break;
        move(at, parent);
        at = parent;
      }
      place(at, priority, left, end, id);
    },
    pop() {
      if (size === 0) return false;
      top.left = entries[0]!;
      top.end = entries[1]!;
      top.id = entries[2]!;
      size--;
      if (size === 0) return true;
      const priority = priorities[size]!;
      const left = entries[size * 3]!;
      let at = 0;
      for (;;) {
        let child = at * 2 + 1;
        if (child >= size) break;
        if (child + 1 < size) {
          const a = priorities[child]!;
          const b = priorities[child + 1]!;
          if (b < a || (b === a && entries[child * 3 + 3]! < entries[child * 3]!)) child++;
        }
        const other = priorities[child]!;
        if (other > priority || (other === priority && entries[child * 3]! >= left)) break;
        move(at, child);
        at = child;
      }
      place(at, priority, left, entries[size * 3 + 1]!, entries[size * 3 + 2]!);
      return true;
    },
  };
}

/** A growing list of token ids, without an object each. */

export interface TokenBuffer {
  push(id: number): void;
  append(ids: ArrayLike<number>): void;
  /** The ids from position `start` on, as a copy. */
  take(start?: number): Int32Array;
  readonly length: number;
}

export function tokenBuffer(capacity = 64): TokenBuffer {
  let ids = new Int32Array(capacity);
  let length = 0;
  const reserve = (more: number): void => {
    if (length + more <= ids.length) return;
    const larger = new Int32Array(Math.max(ids.length * 2, length + more));
    larger.set(ids);
    ids = larger;
  };
  return {
    push(id) {
      reserve(1);
      ids[length++] = id;
    },
    append(more) {
      reserve(more.length);
      for (let i = 0; i < more.length; i++) ids[length++] = more[i]!;
    },
    take: (start = 0) => ids.slice(start, length),
    get length() {
      return length;
    },
  };
}

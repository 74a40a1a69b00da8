/** Things in the order of their last use: touching one and taking the oldest cost O(log n). Entries that are no longer due are skipped. */

export interface Leaves<T> {
  touch(item: T): void;
  /** The item untouched for longest that `isDue`, no longer in the list; undefined where there is none. */
  take(): T | undefined;
}

export function leastRecentlyUsed<T>(isDue: (item: T) => boolean): Leaves<T> {
  /** In order of touching, since each touch is later than all before: a queue, of which items touched again leave stale entries behind. */
  let queue: { readonly item: T; readonly at: number }[] = [];
  let first = 0;
  let clock = 0;
  const latest = new Map<T, number>();
  return {
    touch(item) {
      queue.push({ item, at: ++clock });
      latest.set(item, clock);
      if (queue.length - first > 2 * latest.size + 64) {
        queue = queue.slice(first).filter((entry) => latest.get(entry.item) === entry.at);
        first = 0;
      }
    },
    take() {
      // What was taken must not be held.
      if (first > 64 && 2 * first > queue.length) {
        queue = queue.slice(first);
        first = 0;
      }
      while (first < queue.length) {
        const { item, at } = queue[first++]!;
        if (latest.get(item) !== at) continue;
        latest.delete(item);
        if (isDue(item)) return item;
      }
      return undefined;
    },
  };
}

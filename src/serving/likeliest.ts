/** The k largest logits by one pass with a heap: nearly every logit costs one comparison, so the vocabulary is never sorted. */

/** Ids of the `count` largest, largest first, the lower id first among equals; values of -Infinity and NaN are left out. */
export function likeliest(logits: Float32Array, count: number): number[] {
  // A heap whose root is the least likely kept; the later id among equals is less likely.
  const heap: number[] = [];
  const isLess = (a: number, b: number): boolean => logits[a]! < logits[b]! || (logits[a] === logits[b] && a > b);
  const sink = (id: number): void => {
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isLess(heap[child + 1]!, heap[child]!)) child++;
      if (!isLess(heap[child]!, id)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = id;
  };
  const rise = (id: number): void => {
    let place = heap.push(id) - 1;
    while (place > 0 && isLess(id, heap[(place - 1) >> 1]!)) {
      heap[place] = heap[(place - 1) >> 1]!;
      place = (place - 1) >> 1;
    }
    heap[place] = id;
  };
  let id = 0;
  for (; id < logits.length && heap.length < count; id++) if (logits[id]! > -Infinity) rise(id);
  if (heap.length > 0) {
    let least = logits[heap[0]!]!;
    for (; id < logits.length; id++)
      if (logits[id]! > least) {
        sink(id);
        least = logits[heap[0]!]!;
      }
  }
  return heap.sort((a, b) => (isLess(a, b) ? 1 : -1));
}

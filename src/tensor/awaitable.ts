/** Work that may be awaited for its result and iterated over for its parts as they come. */

export interface Awaitable<Part, Result> extends PromiseLike<Result>, AsyncIterable<Part> {}

/**
 * Starts `work`, which calls `emit` for each part and resolves to the result. Both ways may be taken, and more than once; leaving an
 * iteration early aborts the signal that `work` gets, which listens to the given one too.
 */
export function startAwaitable<Part, Result>(
  work: (emit: (part: Part) => void, signal: AbortSignal) => Promise<Result>,
  signal?: AbortSignal,
): Awaitable<Part, Result> {
  const own = new AbortController();
  const parts: Part[] = [];
  let ended = false;
  let wake: (() => void)[] = [];
  const notify = (): void => {
    const waiting = wake;
    wake = [];
    for (const go of waiting) go();
  };
  const result = work(
    (part) => {
      parts.push(part);
      notify();
    },
    signal === undefined ? own.signal : AbortSignal.any([signal, own.signal]),
  ).finally(() => {
    ended = true;
    notify();
  });
  // Whoever only iterates gets a failure there; the promise must not be reported as unhandled beside.
  result.catch(() => undefined);

  async function* iterate(): AsyncGenerator<Part, void, void> {
    let at = 0;
    let complete = false;
    try {
      for (;;) {
        while (at < parts.length) yield parts[at++]!;
        if (ended) break;
        await new Promise<void>((resolve) => wake.push(resolve));
      }
      complete = true;
      await result;
    } finally {
      if (!complete) own.abort();
    }
  }

  return {
    // oxlint-disable-next-line unicorn/no-thenable -- being awaitable is this object's purpose
    then: (fulfilled, rejected) => result.then(fulfilled, rejected),
    [Symbol.asyncIterator]: iterate,
  };
}

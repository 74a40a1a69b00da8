/** Locks with one writer or many readers: the browser's, which see other tabs, or these, which see only the code around them. */
import type { Place } from "./place.ts";

export type Locks = Place["lock"];

interface Held {
  readers: number;
  isWritten: boolean;
  readonly waiting: (() => void)[];
}

/** Locks that nobody else sees: for memory. In the order in which they were asked for. */
export function locksHere(): Locks {
  const all = new Map<string, Held>();
  return async (name, mode, wait, signal) => {
    signal?.throwIfAborted();
    const held = all.get(name) ?? { readers: 0, isWritten: false, waiting: [] };
    all.set(name, held);
    const take = (): boolean => {
      if (held.isWritten || (mode === "exclusive" && held.readers > 0)) return false;
      if (mode === "shared") held.readers++;
      else held.isWritten = true;
      return true;
    };
    if (held.waiting.length > 0 || !take()) {
      if (!wait) return undefined;
      await turn(held, take, signal);
    }
    return once(() => {
      if (mode === "shared") held.readers--;
      else held.isWritten = false;
      wake(held);
    });
  };
}

const wake = (held: Held): void => held.waiting[0]?.();

function turn(held: Held, take: () => boolean, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      held.waiting.splice(held.waiting.indexOf(attempt), 1);
      signal?.removeEventListener("abort", stop);
    };
    const attempt = (): void => {
      if (!take()) return;
      leave();
      resolve();
      wake(held);
    };
    const stop = (): void => {
      leave();
      reject(signal?.reason as Error);
      wake(held);
    };
    held.waiting.push(attempt);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The browser's locks (W3C Web Locks); a tab that dies gives back what it held. */
export const webLocks =
  (manager: LockManager): Locks =>
  (name, mode, wait, signal) =>
    new Promise((resolve, reject) => {
      const options: LockOptions = { mode, ...(wait ? signal !== undefined && { signal } : { ifAvailable: true }) };
      manager
        .request(name, options, (lock) =>
          lock === null
            ? resolve(undefined)
            : new Promise<void>((release) => {
                resolve(once(release));
              }),
        )
        .catch(reject);
    });

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

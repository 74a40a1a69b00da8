/**
 * Which adapters are in which slots. An adapter is an object that never changes: loading a name again makes another, and the old one goes
 * with its last text. A text holds a lease while it is written; without a slot it waits here, never among those that run, so that no
 * step is held up. The slot that nobody used for the longest is filled next, from memory or from the file.
 */
import { type FileContents, filesOf, isFiles, type ModelFiles } from "../formats/folder.ts";
import { FrugalError, nearest } from "../tensor/error.ts";

/** An adapter's numbers, as the weights of slots take them. */
export interface SlotNumbers {
  readonly rank: number;
  /** Two adapters of one hash answer alike. */
  readonly contentHash: string;
  readonly bytes: number;
  readonly numbers: ReadonlyMap<string, Float32Array>;
}

export interface AdapterInfo {
  readonly name: string;
  readonly path: string;
  readonly contentHash: string;
  /** The largest of its ranks. */
  readonly rank: number;
  readonly bytes: number;
  /** In a slot. */
  readonly isResident: boolean;
  /** Texts being written with it. */
  readonly users: number;
}

export interface AdapterLease {
  readonly slot: number;
  readonly contentHash: string;
  /** Once the text has ended; further calls do nothing. */
  release(): void;
}

export interface Adapters {
  /**
   * Reads an adapter (a path; or its files, which must stay open while it is loaded; or their contents, as `tune` gives them) and gives it
   * a name; texts that ask for the name from then on get it. Rejects as its reader does, and leaves the name
   * as it was.
   */
  load(name: string, source: string | ModelFiles | FileContents, signal?: AbortSignal): Promise<AdapterInfo>;
  /** Forgets a name: new texts get FRUGAL_NOT_FOUND, those being written end as they would. Rejects with FRUGAL_NOT_FOUND. */
  unload(name: string): Promise<void>;
  list(): readonly AdapterInfo[];
  /** Waits for a slot that holds the adapter. Rejects with FRUGAL_NOT_FOUND, FRUGAL_BUSY, FRUGAL_DISPOSED, FRUGAL_BAD_FILE, or the signal's reason. */
  lease(name: string, signal?: AbortSignal): Promise<AdapterLease>;
  /** Rejects what waits. */
  dispose(): void;
}

export interface AdapterPlaces {
  readonly slots: number;
  read(source: string | ModelFiles, signal?: AbortSignal): Promise<SlotNumbers>;
  write(slot: number, numbers: ReadonlyMap<string, Float32Array>): Promise<void>;
  /** Most bytes of adapters kept outside slots; others are read again. Default 256 MiB. */
  readonly hostBytes?: number;
  /** Texts that may wait for a slot. Default 1024. */
  readonly queue?: number;
  /** Milliseconds after which texts that wait go before others whose adapter is in a slot. Default 2000. */
  readonly patience?: number;
}

/** One adapter, as it was loaded. */
interface Held {
  readonly name: string;
  readonly source: string | ModelFiles;
  /** Of the source, for people. */
  readonly path: string;
  readonly adapter: Omit<SlotNumbers, "numbers">;
  users: number;
  slot: number | undefined;
  /** While its slot is being filled. */
  filling: Promise<void> | undefined;
  isCurrent: boolean;
}

interface Waiting {
  readonly held: Held;
  readonly since: number;
  readonly begin: (error?: unknown) => void;
}

export function createAdapters(places: AdapterPlaces): Adapters {
  const { hostBytes = 1 << 28, queue = 1024, patience = 2000 } = places;
  const current = new Map<string, Held>();
  const slots: (Held | undefined)[] = Array.from({ length: places.slots });
  /** In slots without users, least recently used first. */
  const idle = new Set<Held>();
  const waiting: Waiting[] = [];
  /** Numbers in memory beside those in slots, least recently used first. */
  const host = new Map<Held, SlotNumbers["numbers"]>();
  /** The last change of each name, so that changes of one name follow each other. */
  const changes = new Map<string, Promise<unknown>>();
  let reading: Promise<unknown> = Promise.resolve();
  let disposed = false;

  const notFound = (name: string): FrugalError => {
    const near = nearest(name, current.keys());
    const known = [...current.keys()].slice(0, 8).join(", ");
    const more = near === undefined ? (known === "" ? "none is loaded" : `there are ${known}`) : `did you mean "${near}"?`;
    return new FrugalError("FRUGAL_NOT_FOUND", `adapter: there is no "${name.slice(0, 200)}"; ${more}`, { adapter: name.slice(0, 200) });
  };
  const gone = (): FrugalError => new FrugalError("FRUGAL_DISPOSED", "adapter: the model has been disposed; load it again");

  /** One file at a time: what is read is in memory before anything bounds it. */
  function read(source: string | ModelFiles, signal?: AbortSignal): Promise<SlotNumbers> {
    const next = reading.then(() => {
      signal?.throwIfAborted();
      return places.read(source, signal);
    });
    reading = next.catch(() => undefined);
    return next;
  }

  function keep(held: Held, numbers: SlotNumbers["numbers"]): void {
    host.delete(held);
    host.set(held, numbers);
    let bytes = [...host.keys()].reduce((sum, { adapter }) => sum + adapter.bytes, 0);
    for (const oldest of host.keys()) {
      if (bytes <= hostBytes) break;
      host.delete(oldest);
      bytes -= oldest.adapter.bytes;
    }
  }

  async function fill(held: Held, slot: number): Promise<void> {
    let numbers = host.get(held);
    if (numbers === undefined) {
      const found = await read(held.source);
      if (found.contentHash !== held.adapter.contentHash)
        throw new FrugalError("FRUGAL_BAD_FILE", `adapter: ${held.path} has changed since "${held.name}" was loaded; load it again`, {
          adapter: held.name,
        });
      ({ numbers } = found);
    }
    keep(held, numbers);
    await places.write(slot, numbers);
  }

  /** Whether the adapter has a slot now, or could be given one. */
  function place(held: Held): boolean {
    if (held.slot !== undefined) return true;
    let slot = slots.indexOf(undefined);
    if (slot < 0) {
      const [oldest] = idle;
      if (oldest === undefined) return false;
      slot = empty(oldest);
    }
    slots[slot] = held;
    held.slot = slot;
    held.filling = fill(held, slot).then(
      () => filled(held),
      (error: unknown) => {
        empty(held);
        filled(held);
        throw error;
      },
    );
    held.filling.catch(() => undefined); // whoever waits for it may have gone
    return true;
  }

  function filled(held: Held): void {
    held.filling = undefined;
    settle(held);
  }

  function empty(held: Held): number {
    const slot = held.slot!;
    idle.delete(held);
    held.slot = undefined;
    slots[slot] = undefined;
    return slot;
  }

  /** What becomes of a slot that may have no user any more. A slot that is being filled stays. */
  function settle(held: Held): void {
    if (held.users === 0 && held.filling === undefined && held.slot !== undefined) {
      if (held.isCurrent) idle.add(held);
      else empty(held);
    }
    if (!held.isCurrent && held.users === 0 && !waiting.some((other) => other.held === held)) host.delete(held);
    serve();
  }

  /** Those who wait, in their order. */
  function serve(): void {
    for (let first = waiting[0]; first !== undefined && place(first.held); first = waiting[0]) {
      waiting.shift();
      take(first.held);
      first.begin();
    }
  }

  function take(held: Held): void {
    held.users++;
    idle.delete(held);
  }

  function drop(held: Held): void {
    held.users--;
    settle(held);
  }

  function turn(held: Held, signal: AbortSignal | undefined): Promise<void> {
    if (waiting.length >= queue)
      throw new FrugalError(
        "FRUGAL_BUSY",
        `adapter: ${waiting.length} texts wait for one of ${slots.length} slots already; try again later`,
        {
          waiting: waiting.length,
          retryAfterSeconds: 1,
        },
      );
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        waiting.splice(waiting.indexOf(entry), 1);
        entry.begin(signal!.reason);
        settle(held);
      };
      const entry: Waiting = {
        held,
        since: performance.now(),
        begin(error) {
          signal?.removeEventListener("abort", onAbort);
          if (error === undefined) resolve();
          else reject(error as Error);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      waiting.push(entry);
    });
  }

  /** `change` after the changes of that name that are under way. */
  function inOrder<T>(name: string, change: () => Promise<T>): Promise<T> {
    const next = (changes.get(name) ?? Promise.resolve()).then(change);
    const settled = next
      .catch(() => undefined)
      .then(() => {
        if (changes.get(name) === settled) changes.delete(name);
      });
    changes.set(name, settled);
    return next;
  }

  function forget(name: string): void {
    const old = current.get(name);
    current.delete(name);
    if (old === undefined) return;
    old.isCurrent = false;
    settle(old);
  }

  return {
    async load(name, given, signal) {
      const source = typeof given === "object" && given !== null && !isFiles(given) ? filesOf(name, given) : given;
      const path = isFiles(source) ? source.name : source;
      for (const [what, value] of Object.entries({ name, path }))
        if (typeof value !== "string" || value === "")
          throw new FrugalError("FRUGAL_BAD_ARGUMENT", `adapter: the ${what} is ${JSON.stringify(value)}; give a text`, { option: what });
      return inOrder(name, async () => {
        if (disposed) throw gone();
        const { numbers, ...adapter } = await read(source, signal);
        signal?.throwIfAborted();
        if (disposed) throw gone();
        forget(name);
        const held: Held = { name, source, path, adapter, users: 0, slot: undefined, filling: undefined, isCurrent: true };
        current.set(name, held);
        keep(held, numbers);
        return infoOf(held);
      });
    },
    unload: async (name) =>
      inOrder(name, async () => {
        if (disposed) throw gone();
        if (!current.has(name)) throw notFound(name);
        forget(name);
      }),
    list: () => [...current.values()].map(infoOf),
    async lease(name, signal) {
      if (disposed) throw gone();
      signal?.throwIfAborted();
      const held = current.get(name);
      if (held === undefined) throw notFound(name);
      const oldest = waiting[0];
      const isFree = oldest === undefined || (held.slot !== undefined && performance.now() - oldest.since < patience);
      if (isFree && place(held)) take(held);
      else await turn(held, signal);
      let isHeld = true;
      const release = (): void => {
        if (isHeld) drop(held);
        isHeld = false;
      };
      try {
        await withSignal(held.filling, signal);
      } catch (error) {
        release();
        throw error;
      }
      return { slot: held.slot!, contentHash: held.adapter.contentHash, release };
    },
    dispose() {
      disposed = true;
      for (const { begin } of waiting.splice(0)) begin(gone());
      host.clear();
    },
  };
}

const infoOf = ({ name, path, adapter, slot, users }: Held): AdapterInfo => ({
  name,
  path,
  ...adapter,
  isResident: slot !== undefined,
  users,
});

/** The work's end, or the signal's reason where that comes first; the work goes on for others. */
async function withSignal(work: Promise<void> | undefined, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

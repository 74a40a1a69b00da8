/**
 * The browser's private file system (OPFS) as a place. In dedicated workers files are written in place by synchronous handles; elsewhere
 * by streams, which show what was written only when they close. Measured in Chromium 156: reading by Blob takes 1.4 times a
 * synchronous handle's time and needs no lock, so tabs can read the same file at once.
 */
import type { ByteSource } from "../../tensor/source.ts";
import { sleep } from "../request.ts";
import { blobSource } from "./blob.ts";
import { webLocks } from "./locks.ts";
import { busy, full, type GrowingFile, type Place, type Space, vanished } from "./place.ts";
import { openStreamed } from "./streamed.ts";

/** What TypeScript's DOM library lacks (WHATWG File System, 2.6). */
interface SyncHandle {
  write(bytes: Uint8Array, options: { at: number }): number;
  read(bytes: Uint8Array, options: { at: number }): number;
  truncate(byteLength: number): void;
  flush(): void;
  getSize(): number;
  close(): void;
}
type SyncFile = FileSystemFileHandle & { createSyncAccessHandle(): Promise<SyncHandle> };

const isSync = (handle: FileSystemFileHandle): handle is SyncFile => "createSyncAccessHandle" in handle;
const nameOf = (error: unknown): string => (error instanceof Error || error instanceof DOMException ? error.name : "");

/** A handle is exclusive, and another tab may hold it for the moment it takes to write a record. */
const BUSY_TRIES = 40;
const BUSY_MILLISECONDS = 50;
/** Records are padded to this, so that a shorter one replaces a longer one in a single write. */
const TEXT_BLOCK = 4096;
/** What came in one chunk is written in such parts, so that a full disk keeps all that fits. */
const PIECE = 1 << 18;
const TEXT_LIMIT = 64 << 20;

/** Opens the place, or says why this browser has none: an insecure page, a private window, or an old browser. */
export async function opfsPlace(folder = "frugal"): Promise<Place | { readonly reason: string }> {
  const { storage, locks } = browserHere();
  if (storage?.getDirectory === undefined)
    return { reason: "this page has no private file system (it needs HTTPS or localhost, and a browser from 2023 on)" };
  const open = async (): Promise<FileSystemDirectoryHandle> => (await storage.getDirectory!()).getDirectoryHandle(folder, { create: true });
  try {
    await open();
  } catch (error) {
    return { reason: `this browser refuses its private file system here, as private windows do (${String(error)})` };
  }
  return {
    kind: "opfs",
    names: async () => namesIn(await open()),
    size: async (name) => (await fileOf(await open(), name))?.size,
    readText: async (name) => {
      const file = await fileOf(await open(), name);
      return file === undefined || file.size > TEXT_LIMIT ? undefined : unlessGone(() => file.text());
    },
    writeText: async (name, text) => explaining(name, async () => writeText(name, await handleOf(await open(), name), text)),
    remove: async (name) => explaining(name, async () => removeEntry(await open(), name)),
    grow: async (name) =>
      explaining(name, async () => {
        const handle = await handleOf(await open(), name);
        return isSync(handle) ? openGrowing(name, handle) : openStreamed(name, handle);
      }),
    source: async (name, label) => sourceOf(await fileOf(await open(), name), label),
    space: () => spaceOf(storage),
    lock: locks === undefined ? async () => () => undefined : webLocks(locks),
  };
}

/** Old browsers, insecure pages and other runtimes lack what the types promise. */
export const browserHere = (): { readonly storage?: Partial<StorageManager>; readonly locks?: LockManager } =>
  (globalThis as { navigator?: Navigator }).navigator ?? {};

/** What the browser says of this site's storage; without an answer there is no limit to check. */
export async function spaceOf(storage: Partial<StorageManager>): Promise<Space> {
  const { usage = 0, quota = Number.MAX_SAFE_INTEGER } = (await storage.estimate?.()) ?? {};
  return { usage, quota };
}

const sourceOf = (file: File | undefined, label: string): ByteSource | undefined =>
  file === undefined ? undefined : blobSource(label, file, vanished);

async function namesIn(directory: FileSystemDirectoryHandle): Promise<readonly string[]> {
  const names: string[] = [];
  // The types lack the iteration.
  for await (const name of (directory as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(name);
  return names;
}

const handleOf = (directory: FileSystemDirectoryHandle, name: string): Promise<FileSystemFileHandle> =>
  directory.getFileHandle(name, { create: true });

const fileOf = (directory: FileSystemDirectoryHandle, name: string): Promise<File | undefined> =>
  unlessGone(async () => (await directory.getFileHandle(name)).getFile());

async function unlessGone<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    // A file that is being replaced or removed right now counts as none.
    if (["NotFoundError", "NotReadableError"].includes(nameOf(error))) return undefined;
    throw error;
  }
}

/** The browser's errors as typed ones. */
async function explaining<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const what = nameOf(error);
    if (what === "QuotaExceededError") throw full(name, error);
    if (what === "NoModificationAllowedError") throw busy(name, error);
    if (["NotFoundError", "InvalidStateError", "NotReadableError"].includes(what)) throw vanished(name, error);
    throw error;
  }
}

async function whileBusy<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === BUSY_TRIES || nameOf(error) !== "NoModificationAllowedError") throw error;
      await sleep(BUSY_MILLISECONDS, undefined);
    }
  }
}

const openSync = (handle: SyncFile): Promise<SyncHandle> => whileBusy(() => handle.createSyncAccessHandle());

async function removeEntry(directory: FileSystemDirectoryHandle, name: string): Promise<void> {
  await unlessGone(() => whileBusy(() => directory.removeEntry(name)));
}

/** One write in place of a whole number of blocks: a tab that dies leaves the old text or the new one. Streams promise it themselves. */
async function writeText(name: string, handle: FileSystemFileHandle, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(Math.ceil(bytes.length / TEXT_BLOCK) * TEXT_BLOCK).fill(32);
  padded.set(bytes);
  if (!isSync(handle)) {
    const file = await openStreamed(name, handle);
    await file.truncate(0);
    await file.write(0, padded);
    await file.close();
    return;
  }
  const sync = await openSync(handle);
  try {
    if (sync.write(padded, { at: 0 }) !== padded.length) throw full(name);
    if (sync.getSize() > padded.length) sync.truncate(padded.length);
    sync.flush();
  } finally {
    sync.close();
  }
}

/** To make a file longer takes no time and no disk, but is refused beyond the quota. */
function longest(sync: SyncHandle, length: number, wanted: number): number {
  const fits = (size: number): boolean => {
    try {
      sync.truncate(size);
    } catch (error) {
      if (nameOf(error) !== "QuotaExceededError") throw error;
    }
    return sync.getSize() === size;
  };
  try {
    if (wanted <= length || fits(wanted)) return wanted;
    let [low, high] = [length, wanted];
    for (let step = 0; step < 24 && high - low > 1; step++) {
      const middle = Math.floor((low + high) / 2);
      if (fits(middle)) low = middle;
      else high = middle;
    }
    return low;
  } finally {
    if (sync.getSize() > length) sync.truncate(length);
  }
}

async function openGrowing(name: string, handle: SyncFile): Promise<GrowingFile> {
  const sync = await openSync(handle);
  const byteLength = sync.getSize();
  let length = byteLength;
  let isOpen = true;
  return {
    byteLength,
    read: (offset, count) =>
      explaining(name, () => {
        const bytes = new Uint8Array(count);
        if (sync.read(bytes, { at: offset }) < count) throw vanished(name, undefined);
        return bytes;
      }),
    write: (offset, bytes) =>
      explaining(name, () => {
        for (let done = 0; done < bytes.length; done += PIECE) {
          const piece = bytes.subarray(done, done + PIECE);
          // A full private window of Chromium 156 does not throw but answers with a number that is none: 2^32 - 8.
          if (sync.write(piece, { at: offset + done }) !== piece.length) throw full(name);
          length = Math.max(length, offset + done + piece.length);
        }
      }),
    truncate: (size) =>
      explaining(name, () => {
        if (size < sync.getSize()) sync.truncate(size);
        length = Math.min(length, size);
      }),
    reserve: (size) => explaining(name, () => longest(sync, length, size)),
    keep: () =>
      explaining(name, () => {
        sync.flush();
        return length;
      }),
    close: () =>
      explaining(name, () => {
        if (isOpen) {
          isOpen = false;
          try {
            sync.flush();
          } finally {
            sync.close();
          }
        }
        return length;
      }),
  };
}

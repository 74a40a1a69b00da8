/**
 * A URL's bytes from a place, downloaded into it first where they are not there whole. One tab downloads, others wait and see how
 * far it is; if it dies, the next one takes over. Readers hold a shared lock, so nobody deletes what is being read.
 */
import { FrugalError } from "../../tensor/error.ts";
import type { ByteSource } from "../../tensor/source.ts";
import { type RequestFailure, sleep } from "../request.ts";
import { busy, type GrowingFile, noSpace, type Place, vanished } from "./place.ts";
import { receive, type Download, type ReceiveOptions } from "./receive.ts";
import { readRecord, removeStored, type StoredRecord, touch, writeRecord } from "./record.ts";
import { textHash } from "./hash.ts";

export interface FetchOptions extends ReceiveOptions {
  /** What the whole must hash to, 64 hexadecimal digits. Content of this hash that is stored from elsewhere is taken too. */
  readonly sha256?: string;
  /** Bytes of the whole, where they are known: less or more is an error. */
  readonly byteLength?: number;
  /** Fetch it even where it is stored whole. */
  readonly refresh?: boolean;
  /** Bytes that are to be stored after it: to begin is of no use where these do not fit too. */
  readonly further?: number;
  /** What a failed request means, where that is not any web server's. */
  readonly toError?: (error: unknown, failure: RequestFailure, tries: number) => FrugalError;
  /** Called with the whole file before it counts as complete; rejects what is wrong, which is then removed. */
  readonly check?: (source: ByteSource) => Promise<void>;
}

/** A source that came from a place. */
export interface StoredSource extends ByteSource {
  readonly key: string;
  readonly url: string;
  /** SHA-256 of the whole, computed when it came. */
  readonly sha256: string;
  /** Where it lies: "none" is memory, gone with this worker. */
  readonly store: "opfs" | "none";
  /** Why it is not kept although it should be. */
  readonly warning?: string;
}

/** Names a file: by its content where that is known, else by its address. */
export const keyOf = (url: string, sha256: string | undefined): string => sha256 ?? textHash(url);
export const lockName = (key: string): string => `frugal:stored:${key}`;

const PROGRESS_MILLISECONDS = 250;
/** How often others may change a file between its download and its opening. */
const ROUNDS = 20;

/** Errors: FRUGAL_NETWORK, FRUGAL_NOT_FOUND, FRUGAL_NO_SPACE, FRUGAL_BAD_FILE (wrong hash or size), FRUGAL_BUSY (another tab reads what should be replaced), or the signal's reason. */
export async function fetchInto(place: Place, url: string, options: FetchOptions = {}): Promise<StoredSource> {
  let refresh = options.refresh === true;
  const keys = options.sha256 === undefined ? [keyOf(url, undefined)] : [options.sha256, keyOf(url, undefined)];
  for (let round = 0; round < ROUNDS; round++) {
    options.signal?.throwIfAborted();
    if (!refresh)
      for (const key of keys) {
        const found = await openWhole(place, key, options, key === keys[0]);
        if (found !== undefined) return found;
      }
    if (await downloadInto(place, keys[0]!, url, options, refresh)) refresh = false;
    else await sleep(100, options.signal);
  }
  throw busy(url);
}

/** Opens what is there whole and as wanted. With `wait`, whoever downloads it is waited for. */
async function openWhole(place: Place, key: string, options: FetchOptions, wait: boolean): Promise<StoredSource | undefined> {
  const unlock = wait ? await waitForLock(place, key, options) : await place.lock(lockName(key), "shared", false);
  if (unlock === undefined) return undefined;
  let source: ByteSource | undefined;
  try {
    const record = await readRecord(place, key);
    if (record?.sha256 === undefined || (options.sha256 !== undefined && options.sha256 !== record.sha256)) return undefined;
    if (options.byteLength !== undefined && options.byteLength !== record.received) return undefined;
    // Hashed when it came; to hash it at every load would cost seconds. A browser that takes bytes away takes whole files.
    if ((await place.size(key)) !== record.received) return undefined;
    source = await place.source(key, record.url);
    if (source === undefined) return undefined;
    await touch(place, key, Date.now());
    options.onProgress?.(record.received, record.received);
    return toStored(place, key, record, source, unlock);
  } finally {
    if (source === undefined) unlock();
  }
}

/** Whether a file is here whole, without opening it. */
export async function isStored(place: Place, key: string, byteLength: number): Promise<boolean> {
  return isWhole(place, key, await readRecord(place, key), { byteLength });
}

const toStored = (place: Place, key: string, record: StoredRecord, source: ByteSource, unlock: () => void): StoredSource => ({
  ...source,
  key,
  url: record.url,
  sha256: record.sha256!,
  store: place.kind,
  async close() {
    unlock();
    await source.close();
  },
});

/** While another tab downloads, its progress is this one's too. */
async function waitForLock(place: Place, key: string, options: FetchOptions): Promise<() => void> {
  const free = await place.lock(lockName(key), "shared", false);
  if (free !== undefined) return free;
  const look = async (): Promise<void> => {
    const [record, size] = await Promise.all([readRecord(place, key), place.size(key)]);
    if (record !== undefined && size !== undefined && isWaiting) options.onProgress?.(size, record.total);
  };
  let isWaiting = true;
  const timer = setInterval(() => void look().catch(() => undefined), PROGRESS_MILLISECONDS);
  try {
    return (await place.lock(lockName(key), "shared", true, options.signal))!;
  } finally {
    isWaiting = false;
    clearInterval(timer);
  }
}

/** False where others hold the file: a download that should be waited for, or readers of what should be replaced. */
async function downloadInto(place: Place, key: string, url: string, options: FetchOptions, refresh: boolean): Promise<boolean> {
  const unlock = await place.lock(lockName(key), "exclusive", false);
  if (unlock === undefined) return false;
  try {
    // Another tab may have finished it between the two locks.
    const record = await readRecord(place, key);
    if (!refresh && (await isWhole(place, key, record, options))) return true;
    // What an earlier tab left may be damaged, so a wrong hash is worth one fresh start.
    for (let earlier = refresh || record?.sha256 !== undefined ? undefined : record; ; earlier = undefined)
      if (await downloadOnce(place, key, url, options, earlier)) return true;
  } finally {
    unlock();
  }
}

async function isWhole(
  place: Place,
  key: string,
  record: StoredRecord | undefined,
  { sha256, byteLength }: FetchOptions,
): Promise<boolean> {
  if (record?.sha256 === undefined || (sha256 ?? record.sha256) !== record.sha256) return false;
  return (byteLength ?? record.received) === record.received && (await place.size(key)) === record.received;
}

/** False where a download that was taken up again turned out wrong: start anew. */
async function downloadOnce(
  place: Place,
  key: string,
  url: string,
  options: FetchOptions,
  earlier: StoredRecord | undefined,
): Promise<boolean> {
  let known: Download = { received: 0 };
  const write = async (download: Download): Promise<void> => {
    known = download;
    await writeRecord(place, key, { url, ...download });
  };
  if (options.byteLength !== undefined) await checkSpace(place, url, options.byteLength - (earlier?.received ?? 0));
  const file = await place.grow(key);
  const usable = earlier !== undefined && file.byteLength >= earlier.received ? earlier : undefined;
  // Another address may call its versions otherwise; there the content's hash decides.
  if (usable !== undefined) known = usable.url === url ? downloadOf(usable) : { received: usable.received };
  const { sha256, byteLength } = options;
  const expected = { ...(sha256 !== undefined && { sha256 }), ...(byteLength !== undefined && { byteLength }) };
  try {
    const received = await receive(
      {
        url,
        file,
        earlier: known,
        expected,
        checkSpace: (from, total) => reserve(place, url, file, from, total + (options.further ?? 0)),
        onKept: write,
        ...(options.toError !== undefined && { toError: options.toError }),
      },
      options,
    );
    const kept = await file.close();
    if (kept !== received.received) throw vanished(url, undefined);
    const wrong = await wrongness(place, key, url, received.sha256, options);
    if (wrong === undefined) {
      await writeRecord(place, key, { url, ...downloadOf(received), sha256: received.sha256 });
      return true;
    }
    await removeStored(place, key);
    if (received.resumedAt === 0) throw wrong;
    return false;
  } catch (error) {
    await leave(
      place,
      key,
      error,
      () => file.close(),
      (received) => write({ ...known, received }),
    );
    throw await explained(place, url, error, known);
  }
}

const downloadOf = ({ received, total, validator }: Download): Download => ({
  received,
  ...(total !== undefined && { total }),
  ...(validator !== undefined && { validator }),
});

/** What came is kept for the next try, but not what is wrong. Never hides the first error. */
async function leave(
  place: Place,
  key: string,
  error: unknown,
  close: () => Promise<number>,
  write: (received: number) => Promise<void>,
): Promise<void> {
  try {
    const kept = await close();
    const isWrong = error instanceof FrugalError && error.code === "FRUGAL_BAD_FILE";
    if (isWrong || kept === 0) await removeStored(place, key);
    else await write(kept);
  } catch {
    // The place itself fails, which the first error says already or the next call will.
  }
}

/** Rejects with FRUGAL_NO_SPACE where so many more bytes do not fit. */
export async function checkSpace(place: Place, url: string, more: number): Promise<void> {
  const { usage, quota } = await place.space();
  if (more > quota - usage) throw noSpace(url, more, Math.max(0, quota - usage));
}

/** By the browser's estimate, and by trying: the estimate may promise more than there is. */
async function reserve(place: Place, url: string, file: GrowingFile, from: number, total: number): Promise<void> {
  await checkSpace(place, url, total - from);
  const room = await file.reserve(total);
  if (room < total) throw noSpace(url, total - from, Math.max(0, room - from));
}

/** A full disk is noticed by a write that knows neither how much is still to come nor how much there is. */
async function explained(place: Place, url: string, error: unknown, { total, received }: Download): Promise<unknown> {
  if (!(error instanceof FrugalError) || error.code !== "FRUGAL_NO_SPACE" || "needed" in error.fields) return error;
  const { usage, quota } = await place.space();
  return noSpace(url, Math.max(total ?? 0, received + 1) - received, Math.max(0, quota - usage), error);
}

async function wrongness(place: Place, key: string, url: string, sha256: string, options: FetchOptions): Promise<FrugalError | undefined> {
  if (options.sha256 !== undefined && options.sha256 !== sha256) return wrongHash(url, options.sha256, sha256);
  if (options.check === undefined) return undefined;
  const source = await place.source(key, url);
  if (source === undefined) throw vanished(url, undefined);
  try {
    await options.check(source);
    return undefined;
  } catch (error) {
    if (error instanceof FrugalError && error.code === "FRUGAL_BAD_FILE") return error;
    throw error;
  } finally {
    await source.close();
  }
}

export const wrongHash = (url: string, expected: string, hash: string): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_FILE",
    `${url}: what came has the hash ${hash}, not ${expected}; it was removed; check the hash, or whether the file was replaced`,
    { expected, hash },
  );

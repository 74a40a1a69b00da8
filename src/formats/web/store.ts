/**
 * Models' bytes in a browser: downloads that are kept in its private file system, checked as they come, taken up again where they
 * ended, and listed and deleted when asked. Works best in a dedicated worker; see opfs.ts.
 */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions, wholeNumber } from "../../tensor/options.ts";
import { checkedUrl } from "./address.ts";
import { fetchInto, type FetchOptions, lockName, type StoredSource } from "./fetch.ts";
import { memoryPlace } from "./memory.ts";
import { browserHere, opfsPlace, spaceOf } from "./opfs.ts";
import { busy, type Place } from "./place.ts";
import { lastUsed, readRecord, recordKeys, removeStored } from "./record.ts";

export interface StoreOptions extends Omit<FetchOptions, "check" | "toError" | "further"> {
  /** Where downloads are kept; "none" is memory. Default "opfs", and "none" with a warning where the browser has none. */
  readonly store?: "opfs" | "none";
}

export const storeOptionNames = [
  "store",
  "headers",
  "signal",
  "fetch",
  "onProgress",
  "refresh",
  "retries",
  "retryDelay",
  "stallTimeout",
] as const;

/** A place and, where it is not the one asked for, why. */
export interface OpenedPlace {
  readonly place: Place;
  readonly warning?: string;
}

export async function openPlace(store: "opfs" | "none" = "opfs"): Promise<OpenedPlace> {
  if (store === "none") return { place: memoryPlace() };
  if (store !== "opfs")
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `store: ${JSON.stringify(store)} is no place; use "opfs" or "none"`, {});
  const place = await opfsPlace();
  if (!("reason" in place)) return { place };
  return {
    place: memoryPlace(),
    warning: `store: downloads are not kept: ${place.reason}; they are in memory and come anew at the next visit`,
  };
}

/**
 * A URL's bytes: from what is stored where it is whole, else downloaded, hashed as they come and kept. An interrupted download goes
 * on where it stopped, also in another tab and after this one was closed. Where another tab downloads the same, waits for it.
 *
 * `url` may be relative to the page. Errors: FRUGAL_NETWORK, FRUGAL_NOT_FOUND, FRUGAL_NO_SPACE (with `needed` and `available`
 * bytes), FRUGAL_BAD_FILE (another hash or size), FRUGAL_BUSY, FRUGAL_BAD_ARGUMENT, or the signal's reason.
 */
export async function fetchStored(url: string | URL, options: StoreOptions = {}): Promise<StoredSource> {
  checkOptions("fetchStored", options, [...storeOptionNames, "sha256", "byteLength"]);
  checkRequest("fetchStored", options);
  wholeNumber("fetchStored", "byteLength", options.byteLength, 0);
  const { store, sha256, ...rest } = options;
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `fetchStored: sha256 is ${JSON.stringify(sha256)}; give 64 hexadecimal digits`, {});
  const address = checkedUrl(url);
  const { place, warning } = await openPlace(store);
  const source = await fetchInto(place, address, { ...rest, ...(sha256 !== undefined && { sha256: sha256.toLowerCase() }) });
  return warning === undefined ? source : { ...source, warning };
}

/** Throws FRUGAL_BAD_ARGUMENT for what no request could be made with. */
export function checkRequest(
  call: string,
  { headers, retries, retryDelay, stallTimeout }: Pick<StoreOptions, "headers" | "retries" | "retryDelay" | "stallTimeout">,
): void {
  wholeNumber(call, "retries", retries, 0);
  wholeNumber(call, "retryDelay", retryDelay, 0);
  wholeNumber(call, "stallTimeout", stallTimeout, 1);
  try {
    new Headers(headers);
  } catch (error) {
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: the headers cannot be sent: ${String(error)}`, {}, { cause: error });
  }
}

export interface StoredFile {
  /** What `deleteStoredFile` takes. */
  readonly key: string;
  readonly url: string;
  /** Bytes that are here. */
  readonly bytes: number;
  /** Bytes of the whole, where they are known. */
  readonly total?: number;
  readonly complete: boolean;
  /** Of a complete one. */
  readonly sha256?: string;
  /** Milliseconds since 1970; 0 for what was never complete. */
  readonly lastUsed: number;
}

/** What is kept here for this site, whole or not, the least recently used first. Empty where the browser keeps nothing. */
export async function storedFiles(): Promise<readonly StoredFile[]> {
  return filesIn((await openPlace()).place);
}

export async function filesIn(place: Place): Promise<readonly StoredFile[]> {
  const keys = await recordKeys(place);
  const files = await Promise.all(keys.map((key) => fileIn(place, key)));
  return files.filter((file) => file !== undefined).sort((a, b) => a.lastUsed - b.lastUsed);
}

async function fileIn(place: Place, key: string): Promise<StoredFile | undefined> {
  const [record, size] = await Promise.all([readRecord(place, key), place.size(key)]);
  if (record === undefined) return undefined;
  const { url, total, sha256 } = record;
  return {
    key,
    url,
    bytes: size ?? 0,
    ...(total !== undefined && { total }),
    complete: sha256 !== undefined && size === total,
    ...(sha256 !== undefined && { sha256 }),
    lastUsed: await lastUsed(place, key),
  };
}

/** Deletes a stored file; false where there is none. Rejects with FRUGAL_BUSY while a tab reads or downloads it. */
export async function deleteStoredFile(key: string): Promise<boolean> {
  if (!/^[0-9a-f]{64}$/.test(key))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `store: ${JSON.stringify(key)} is no key; take one from storedFiles()`, {});
  return deleteIn((await openPlace()).place, key);
}

export async function deleteIn(place: Place, key: string): Promise<boolean> {
  const unlock = await place.lock(lockName(key), "exclusive", false);
  if (unlock === undefined) throw busy(key);
  try {
    if (!(await place.names()).some((name) => name === key || name.startsWith(`${key}.`))) return false;
    await removeStored(place, key);
    return true;
  } finally {
    unlock();
  }
}

export interface FreedSpace {
  /** Keys of what was deleted. */
  readonly deleted: readonly string[];
  /** Bytes that may be written now, as far as the browser tells. */
  readonly available: number;
}

/**
 * Deletes stored files, the least recently used first, until `bytes` more may be written. Files that a tab has open stay. Nothing here
 * ever deletes by itself. Where that is not enough, `available` says so.
 */
export async function freeSpace(bytes: number): Promise<FreedSpace> {
  wholeNumber("freeSpace", "bytes", bytes, 0);
  return freeIn((await openPlace()).place, bytes);
}

export async function freeIn(place: Place, bytes: number): Promise<FreedSpace> {
  const { usage, quota } = await place.space();
  let available = Math.max(0, quota - usage);
  const deleted: string[] = [];
  for (const { key, bytes: size } of [...(await orphans(place)), ...(await filesIn(place))]) {
    if (available >= bytes) break;
    const isDeleted = await deleteIn(place, key).catch((error: unknown) => {
      if (error instanceof FrugalError && error.code === "FRUGAL_BUSY") return false;
      throw error;
    });
    if (!isDeleted) continue;
    deleted.push(key);
    // Added up, because browsers estimate anew only after a while.
    available += size;
  }
  return { deleted, available };
}

/** Bytes whose record is gone or damaged: of no use to anybody. */
async function orphans(place: Place): Promise<readonly { key: string; bytes: number }[]> {
  const names = (await place.names()).filter((name) => /^[0-9a-f]{64}$/.test(name));
  const found = await Promise.all(
    names.map(async (key) => ((await readRecord(place, key)) === undefined ? [{ key, bytes: (await place.size(key)) ?? 0 }] : [])),
  );
  return found.flat();
}

export interface StorageReport {
  /** Bytes this site uses and may use in all, as the browser estimates them. */
  readonly usage: number;
  readonly quota: number;
  /** Whether the browser promised not to evict it when the disk fills. */
  readonly persisted: boolean;
  /** Bytes of stored files. */
  readonly stored: number;
  readonly store: "opfs" | "none";
  /** Why nothing is kept, where that is so. */
  readonly warning?: string;
}

/** How much is stored and how much more may be. */
export async function storageReport(): Promise<StorageReport> {
  const { place, warning } = await openPlace();
  const { storage } = browserHere();
  const space = storage === undefined ? { usage: 0, quota: 0 } : await spaceOf(storage);
  return {
    ...space,
    persisted: (await storage?.persisted?.()) ?? false,
    stored: (await filesIn(place)).reduce((sum, { bytes }) => sum + bytes, 0),
    store: place.kind,
    ...(warning !== undefined && { warning }),
  };
}

/** Asks the browser not to evict what is stored here. Only pages may ask, workers learn what was answered; it may ask the user, and may refuse. */
export async function requestPersistence(): Promise<boolean> {
  const { storage } = browserHere();
  return (await (storage?.persist === undefined ? storage?.persisted?.() : storage.persist())) ?? false;
}

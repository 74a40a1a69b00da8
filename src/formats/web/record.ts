/** What is known of a stored file, in a small file beside it. Written whole, read with suspicion: a damaged one counts as none. */
import { isJsonObject } from "../json.ts";
import type { Place } from "./place.ts";

export interface StoredRecord {
  readonly url: string;
  /** Bytes from the beginning that outlive the tab. */
  readonly received: number;
  /** Bytes of the whole, where the server said it. */
  readonly total?: number;
  /** A strong ETag, or a Last-Modified date: what the server calls this version. */
  readonly validator?: string;
  /** Of the whole, computed as it came: then it is complete. */
  readonly sha256?: string;
}

export const recordName = (key: string): string => `${key}.json`;
const usedName = (key: string): string => `${key}.used`;

/** Keys of all files that have a record. */
export async function recordKeys(place: Place): Promise<readonly string[]> {
  return (await place.names()).flatMap((name) => /^([0-9a-f]{64})\.json$/.exec(name)?.[1] ?? []);
}

export async function readRecord(place: Place, key: string): Promise<StoredRecord | undefined> {
  const text = await place.readText(recordName(key));
  return text === undefined ? undefined : toRecord(text);
}

export function toRecord(text: string): StoredRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isJsonObject(value)) return undefined;
    const { url, received, total, validator, sha256 } = value;
    const isCount = (count: unknown): count is number => Number.isSafeInteger(count) && (count as number) >= 0;
    if (typeof url !== "string" || !isCount(received)) return undefined;
    if (total !== undefined && (!isCount(total) || total < received)) return undefined;
    if (validator !== undefined && typeof validator !== "string") return undefined;
    if (sha256 !== undefined && (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256) || total !== received)) return undefined;
    return {
      url,
      received,
      ...(total !== undefined && { total }),
      ...(validator !== undefined && { validator }),
      ...(sha256 !== undefined && { sha256 }),
    };
  } catch {
    return undefined;
  }
}

export const writeRecord = (place: Place, key: string, record: StoredRecord): Promise<void> =>
  place.writeText(recordName(key), JSON.stringify(record));

/** When it was opened last, in its own file: writing it can never damage the record. */
export async function touch(place: Place, key: string, time: number): Promise<void> {
  // Another tab that writes it at the same moment says the same.
  await place.writeText(usedName(key), String(time)).catch(() => undefined);
}

export async function lastUsed(place: Place, key: string): Promise<number> {
  const time = Number((await place.readText(usedName(key)).catch(() => undefined)) ?? 0);
  return Number.isFinite(time) ? time : 0;
}

/** Removes a file with what is known of it. The record goes first: bytes without one count for nothing. */
export async function removeStored(place: Place, key: string): Promise<void> {
  for (const name of [recordName(key), key, usedName(key)]) await place.remove(name);
}

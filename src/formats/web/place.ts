/**
 * Where downloads are kept: a flat folder of files that can grow, with locks between tabs. The browser's private file system
 * (opfs.ts) is one, memory (memory.ts) another, so what downloads is the same for both and is tested without a browser.
 */
import { FrugalError } from "../../tensor/error.ts";
import type { ByteSource } from "../../tensor/source.ts";

/** A file that one writer makes longer. What fails is a FrugalError: FRUGAL_NO_SPACE, FRUGAL_NOT_FOUND (it was removed), FRUGAL_BUSY. */
export interface GrowingFile {
  /** Bytes it had when opened. */
  readonly byteLength: number;
  /** For what lies there already; an end before `length` bytes is FRUGAL_BAD_FILE. */
  read(offset: number, length: number): Promise<Uint8Array>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  truncate(byteLength: number): Promise<void>;
  /**
   * How long it can become, up to `byteLength`, found by trying where that is possible: browsers' estimates need not be true. Chromium
   * 156 says that 10 GiB more than what is used may be stored, however full the disk is.
   */
  reserve(byteLength: number): Promise<number>;
  /** Makes what was written outlive this tab, as far as that is cheap; answers how many bytes do now. */
  keep(): Promise<number>;
  /** Keeps all that was written; answers how many bytes that is. */
  close(): Promise<number>;
}

export interface Space {
  /** Bytes this origin uses and may use, as the browser estimates them. */
  readonly usage: number;
  readonly quota: number;
}

export type LockMode = "shared" | "exclusive";

/** Names are made here (hashes and a suffix), never by a server. */
export interface Place {
  readonly kind: "opfs" | "none";
  names(): Promise<readonly string[]>;
  size(name: string): Promise<number | undefined>;
  /** A small file whole; undefined where there is none. */
  readText(name: string): Promise<string | undefined>;
  /** Replaces a small file: who reads it sees the old text or the new one. */
  writeText(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
  grow(name: string): Promise<GrowingFile>;
  /** Bytes to read; `label` stands in messages. Undefined where there is none. */
  source(name: string, label: string): Promise<ByteSource | undefined>;
  space(): Promise<Space>;
  /** Waits for the lock and answers how to give it back; undefined where it is not free and `wait` is false. A tab that dies gives back its own. */
  lock(name: string, mode: LockMode, wait: boolean, signal?: AbortSignal): Promise<(() => void) | undefined>;
}

/** The browser took away what was stored, or another program did. */
export const vanished = (label: string, cause: unknown): FrugalError =>
  new FrugalError(
    "FRUGAL_NOT_FOUND",
    `${label}: the stored bytes are gone: the browser or a user cleared this site's storage; load it again`,
    {},
    { cause },
  );

export const noSpace = (label: string, needed: number, available: number, cause?: unknown): FrugalError =>
  new FrugalError(
    "FRUGAL_NO_SPACE",
    `${label}: needs ${needed} more bytes, but the browser gives this site only ${available}; delete stored models (storedFiles, freeSpace), free disk space, or load with store "none"`,
    { needed, available },
    { cause },
  );

/** A write that did not fit; how much is still to come is for its caller to say. */
export const full = (name: string, cause?: unknown): FrugalError =>
  new FrugalError("FRUGAL_NO_SPACE", `${name}: the browser's storage for this site is full; delete stored models`, {}, { cause });

export const busy = (name: string, cause?: unknown): FrugalError =>
  new FrugalError(
    "FRUGAL_BUSY",
    `${name}: this stored file is open elsewhere; close the models that were loaded from it, in other tabs too`,
    {},
    { cause },
  );

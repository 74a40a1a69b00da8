/** Hashes that need no secure context and can be fed in parts, unlike the browser's own. */
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { ByteSource } from "../../tensor/source.ts";

const STEP = 1 << 20;

export const hexadecimal = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** SHA-256 of a text. */
export const textHash = (text: string): string => hexadecimal(sha256(new TextEncoder().encode(text)));

/** What git names a file of this content: SHA-1 of a header and the bytes. */
export async function gitHash(source: ByteSource, signal?: AbortSignal): Promise<string> {
  const hash = sha1.create().update(new TextEncoder().encode(`blob ${source.byteLength}\0`));
  for (let offset = 0; offset < source.byteLength; offset += STEP) {
    signal?.throwIfAborted();
    hash.update(await source.read(offset, Math.min(STEP, source.byteLength - offset)));
  }
  return hexadecimal(hash.digest());
}

/** Where bytes come from: a file, a Blob, a buffer. Everything above reads through this, so it runs where there is no file system. */
import { FrugalError } from "./error.ts";

export interface ByteSource {
  /** For messages: a path, a URL. */
  readonly name: string;
  readonly byteLength: number;
  /** A path on this machine, where there is one: backends that can map files use it. */
  readonly path?: string;
  /** Exactly `length` bytes from `offset`; rejects with FRUGAL_BAD_FILE where the source ends before. The caller may keep and change the result. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A source over bytes already in memory. */
export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    byteLength: bytes.byteLength,
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > bytes.byteLength) throw endsEarly(name, offset, length, bytes.byteLength);
      return bytes.slice(offset, offset + length);
    },
    async close() {},
  };
}

export const endsEarly = (name: string, offset: number, length: number, byteLength: number): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_FILE",
    `${name}: needs bytes ${offset} to ${offset + length}, but the file has ${byteLength}; it is truncated, fetch it again`,
    { offset, length, byteLength },
  );

/** Bytes of a Blob or a File: what a user chose, or what the browser's private file system holds. Only what is read is in memory. */
import { FrugalError } from "../../tensor/error.ts";
import { type ByteSource, endsEarly } from "../../tensor/source.ts";

/** What to say where the bytes behind a Blob cannot be read any more. */
const changed = (name: string, cause: unknown): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_FILE",
    `${name}: cannot be read, it was moved, changed or is not permitted any more; choose it again`,
    {},
    { cause },
  );

/**
 * A source over a Blob or a File. Reading rejects with FRUGAL_BAD_FILE where a file was changed or removed after it was chosen.
 */
export function blobSource(name: string, blob: Blob, unreadable: (name: string, cause: unknown) => FrugalError = changed): ByteSource {
  const byteLength = blob.size;
  let isClosed = false;
  return {
    name,
    byteLength,
    async read(offset, length) {
      if (isClosed) throw new FrugalError("FRUGAL_DISPOSED", `${name}: read after close; open it again`, {});
      if (offset < 0 || length < 0 || offset + length > byteLength) throw endsEarly(name, offset, length, byteLength);
      const bytes = await blob
        .slice(offset, offset + length)
        .arrayBuffer()
        .catch((error: unknown) => {
          throw error instanceof RangeError
            ? new FrugalError("FRUGAL_OUT_OF_MEMORY", `${name}: no memory for ${length} bytes at once; read it in parts`, { length })
            : unreadable(name, error);
        });
      if (bytes.byteLength < length) throw unreadable(name, endsEarly(name, offset, length, offset + bytes.byteLength));
      return new Uint8Array(bytes);
    },
    async close() {
      isClosed = true;
    },
  };
}

/**
 * A growing file where there are no synchronous handles (a page, a shared worker): a stream writes into a copy that takes the file's
 * place when it closes. Each opening copies what is there, so it is closed and opened again only when it has doubled: all copies
 * together are then no more than twice the file, and a tab that dies loses at most half.
 */
import { full, type GrowingFile, vanished } from "./place.ts";

const FIRST_KEPT = 16 << 20;

export async function openStreamed(name: string, handle: FileSystemFileHandle, firstKept: number = FIRST_KEPT): Promise<GrowingFile> {
  const byteLength = (await handle.getFile()).size;
  let kept = byteLength;
  let length = byteLength;
  let stream: FileSystemWritableFileStream | undefined;
  const open = async (): Promise<FileSystemWritableFileStream> => (stream ??= await handle.createWritable({ keepExistingData: true }));
  const change = async (work: (stream: FileSystemWritableFileStream) => Promise<void>): Promise<void> => {
    try {
      await work(await open());
    } catch (error) {
      // A stream that failed once cannot be closed any more.
      await stream?.abort().catch(() => undefined);
      stream = undefined;
      length = kept;
      throw streamError(name, error);
    }
  };
  const commit = async (): Promise<number> => {
    if (stream !== undefined) await change((one) => one.close());
    stream = undefined;
    kept = length;
    return kept;
  };
  return {
    byteLength,
    async read(offset, count) {
      await commit();
      const bytes = new Uint8Array(await (await handle.getFile()).slice(offset, offset + count).arrayBuffer());
      if (bytes.length < count) throw vanished(name, undefined);
      return bytes;
    },
    async write(offset, bytes) {
      await change((one) => one.write({ type: "write", position: offset, data: bytes as Uint8Array<ArrayBuffer> }));
      length = Math.max(length, offset + bytes.length);
    },
    async truncate(size) {
      if (size >= length) return;
      await change((one) => one.truncate(size));
      length = size;
    },
    // To try it would write it all; the estimate has to do.
    reserve: async (size) => size,
    keep: async () => (length >= Math.max(firstKept, 2 * kept) ? commit() : Math.min(kept, length)),
    close: commit,
  };
}

function streamError(name: string, error: unknown): unknown {
  const what = error instanceof Error || error instanceof DOMException ? error.name : "";
  if (what === "QuotaExceededError") return full(name, error);
  if (["NotFoundError", "InvalidStateError"].includes(what)) return vanished(name, error);
  return error;
}

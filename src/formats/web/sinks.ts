/** Where bytes go in a browser: a Blob, which pages download and storages keep, or a file that a person or this origin's own storage holds. */
import { FrugalError } from "../../tensor/error.ts";
import type { ByteSink } from "../sink.ts";
import { full } from "./place.ts";

/** Bytes are handed to the browser in parts of this size: it keeps them outside this thread's memory, on disk where they are many. */
const partBytes = 8 << 20;

/** A sink into a Blob; `blob()` is there once it has finished. */
export function blobSink(name: string): ByteSink & { blob(): Blob } {
  let parts: Blob[] = [];
  let waiting: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  let whole: Blob | undefined;
  const flush = (): void => {
    if (waiting.length > 0) parts.push(new Blob(waiting));
    [waiting, bytes] = [[], 0];
  };
  return {
    name,
    async write(chunk) {
      waiting.push(chunk.slice());
      bytes += chunk.length;
      if (bytes >= partBytes) flush();
    },
    async finish() {
      flush();
      whole = new Blob(parts, { type: "application/octet-stream" });
      parts = [];
    },
    async abort() {
      [parts, waiting] = [[], []];
    },
    blob() {
      if (whole === undefined) throw new FrugalError("FRUGAL_INTERNAL", `${name}: its bytes are not all there`);
      return whole;
    },
  };
}

/** A sink into a file, which has its old content until `finish` and after `abort`. Rejects with FRUGAL_NO_SPACE, FRUGAL_BAD_ARGUMENT. */
export async function handleSink(handle: FileSystemFileHandle): Promise<ByteSink> {
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw writeFailure(handle.name, error);
    }
  };
  const stream = await guarded(() => handle.createWritable());
  return {
    name: handle.name,
    write: (bytes) => guarded(() => stream.write(bytes as Uint8Array<ArrayBuffer>)),
    finish: () => guarded(() => stream.close()),
    abort: () => stream.abort().catch(() => undefined),
  };
}

function writeFailure(name: string, error: unknown): unknown {
  const kind = error instanceof Error ? error.name : "";
  if (kind === "QuotaExceededError") return full(name, error);
  if (kind === "NotAllowedError" || kind === "NoModificationAllowedError" || kind === "NotFoundError")
    return new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${name}: cannot be written (${kind}: ${(error as Error).message}); ask for permission, or choose another file`,
      {},
      { cause: error },
    );
  return error;
}

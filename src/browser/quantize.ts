/** `quantize` for pages: a worker of its own reads, writes and ends. */
import type { OpenProgress } from "../models/open-checkpoint.ts";
import { checkOptions } from "../tensor/options.ts";
import { connectOwn } from "./connect.ts";
import { type BrowserFiles, fileNames, storiesUrl } from "./files.ts";
import type { BrowserLoadOptions } from "./load.ts";
import type { QuantizedFile, QuantizeRequest } from "./quantize-method.ts";
import { type BrowserSource, sourceRecord, withHash } from "./source.ts";

export interface BrowserQuantizeOptions extends QuantizeRequest, Pick<BrowserLoadOptions, "hub" | "store" | "sha256" | "signal"> {
  /** Bytes of the download, then of the file that is written. */
  readonly onProgress?: (progress: OpenProgress) => void;
  readonly files?: BrowserFiles;
}

/**
 * A model's file in another storage format, as in Node. Rejects as that does, and as downloads do.
 * ```ts
 * import { load, quantize } from "frugal/browser";
 * const { file, before, after } = await quantize("/models/model-f16.gguf", { format: "Q8_0" });
 * await using model = await load(file!);
 * ```
 */
export async function quantize(source: BrowserSource, options: BrowserQuantizeOptions): Promise<QuantizedFile> {
  checkOptions("quantize", options, ["format", "pure", "out", "hub", "store", "sha256", "signal", "onProgress", "files"]);
  const { hub, store, sha256, signal, onProgress, files = {}, ...request } = options;
  checkOptions("quantize: files", files, fileNames);
  signal?.throwIfAborted();
  const record = withHash("quantize", await sourceRecord("quantize", source, (name) => storiesUrl(name, files)), sha256);
  const { caller, close } = await connectOwn(files)(() => undefined);
  try {
    const where = { ...(hub === undefined ? {} : { hub }), ...(store === undefined ? {} : { store }) };
    const onEvent = (progress: unknown): void => onProgress?.(progress as OpenProgress);
    return (await caller.call("quantize", [record, where, request], { signal, onEvent })) as QuantizedFile;
  } finally {
    await close(new Error("quantize: has ended"));
  }
}

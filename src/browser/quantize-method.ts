/** `quantize` as pages ask the engine for it: a model's files in, a Blob or the page's own file out. */
import type { ModelFiles } from "../formats/folder.ts";
import { blobSink, handleSink } from "../formats/web/sinks.ts";
import { quantize, type Quantized, type QuantizeOptions } from "../techniques/quantize.ts";
import { FrugalError } from "../tensor/error.ts";
import { checkOptions } from "../tensor/options.ts";

/** What a page may ask for. */
export interface QuantizeRequest extends Pick<QuantizeOptions, "format" | "pure"> {
  /** A file that the page was given or made; it has its old content until the new one is whole. Default: the result is a Blob. */
  readonly out?: FileSystemFileHandle;
}

/** What it gets. */
export interface QuantizedFile extends Quantized {
  /** The GGUF file, where no other place was named. */
  readonly file?: Blob;
}

/** Reads the files, which are closed then. Rejects as `quantize` does. */
export async function quantizeFiles(
  files: ModelFiles,
  request: QuantizeRequest,
  { signal, onProgress }: { readonly signal: AbortSignal; onProgress(done: number, total: number): void },
): Promise<QuantizedFile> {
  checkOptions("quantize", request, ["format", "pure", "out"]);
  const { format, pure, out } = request;
  if (out !== undefined && typeof out.createWritable !== "function")
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      "quantize: out is no file that can be written here; give a FileSystemFileHandle, or nothing for a Blob",
    );
  const blob = out === undefined ? blobSink(`${files.name} as ${format}`) : undefined;
  const sink = blob ?? (await handleSink(out!));
  try {
    const result = await quantize(files, {
      format,
      out: sink,
      signal,
      ...(pure === undefined ? {} : { pure }),
      onProgress: ({ written, total }) => onProgress(written, total),
    });
    return blob === undefined ? result : { ...result, file: blob.blob() };
  } catch (error) {
    // What was refused before anything was read leaves the file open; for others this does nothing.
    await sink.abort();
    throw error;
  }
}

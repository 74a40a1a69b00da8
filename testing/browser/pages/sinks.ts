/** A worker of a page that writes through sinks into Blobs and files of the origin's own storage. */
import { quantizeFiles } from "../../../src/browser/quantize-method.ts";
import { blobSource } from "../../../src/formats/web/blob.ts";
import { handleSink } from "../../../src/formats/web/sinks.ts";

export interface Sunk {
  readonly blob: string;
  readonly file: string;
  readonly same: boolean;
  readonly progress: readonly number[];
  readonly afterAbort: string;
  readonly refused: readonly string[];
}

const hash = async (blob: Blob): Promise<string> =>
  [...new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");

async function run(model: Blob): Promise<Sunk> {
  const source = (): Parameters<typeof quantizeFiles>[0] => ({
    name: "stories",
    files: new Map([["stories.gguf", blobSource("stories.gguf", model)]]),
  });
  const progress: number[] = [];
  const { signal } = new AbortController();
  const asBlob = await quantizeFiles(source(), { format: "Q4_0" }, { signal, onProgress: (done, total) => progress.push(done / total) });
  const root = await navigator.storage.getDirectory();
  const out = await root.getFileHandle("coarse.gguf", { create: true });
  const options = { signal, onProgress: () => undefined };
  const asFile = await quantizeFiles(source(), { format: "Q4_0", out }, options);
  const file = await out.getFile();
  const content = await hash(file);
  // What is stopped leaves the file as it was.
  const abort = new AbortController();
  const stopped = await quantizeFiles(source(), { format: "Q8_0", out }, { signal: abort.signal, onProgress: () => abort.abort() }).catch(
    String,
  );
  const sink = await handleSink(out);
  await sink.write(new Uint8Array(8));
  await sink.abort();
  const refused = await Promise.all([
    quantizeFiles(source(), { format: "Q4_9", out }, options).catch(String),
    quantizeFiles(source(), { format: "Q4_0", out: {} as FileSystemFileHandle }, options).catch(String),
    quantizeFiles(source(), { fromat: "Q4_0" } as never, options).catch(String),
  ]);
  return {
    blob: await hash(asBlob.file!),
    file: content,
    same: asFile.after.bytes === file.size && asBlob.after.bytes === asBlob.file!.size,
    progress,
    afterAbort: `${String(stopped)} ${await hash(await out.getFile())}`,
    refused: refused.map(String),
  };
}

addEventListener("message", ({ data }: MessageEvent<string>) => {
  fetch(data)
    .then(async (response) => run(await response.blob()))
    .then(
      (sunk) => postMessage(sunk),
      (error: unknown) => postMessage({ failed: String(error) }),
    );
});

/** From what a page named to the files of a model, in the engine's worker: downloaded and kept, or read where they are. */
import type { ModelFiles } from "../formats/folder.ts";
import { splitName } from "../formats/gguf/split.ts";
import { blobSource } from "../formats/web/blob.ts";
import { pullStored } from "../formats/web/hub.ts";
import { fetchStored } from "../formats/web/store.ts";
import type { HubSettings } from "../models/open-checkpoint.ts";
import { FrugalError } from "../tensor/error.ts";
import type { ByteSource } from "../tensor/source.ts";
import type { SourceRecord } from "./source.ts";

export interface OpenSourceOptions {
  readonly store?: "opfs" | "none" | undefined;
  readonly hub?: Omit<HubSettings, "cacheDirectory"> | undefined;
  readonly signal: AbortSignal;
  onDownload(done: number, total: number): void;
}

/** Rejects as downloads do (formats/web), and with FRUGAL_BAD_ARGUMENT for what is no source. */
export async function openSource(source: SourceRecord, options: OpenSourceOptions): Promise<ModelFiles> {
  const { signal, hub = {}, onDownload } = options;
  const store = options.store === undefined ? {} : { store: options.store };
  if (source.kind === "hub") {
    const { endpoint, token, revision } = hub;
    const { name, files } = await pullStored(source.name, {
      ...store,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(token === undefined ? {} : { token }),
      ...(revision === undefined ? {} : { revision }),
      signal,
      onProgress: ({ received, total }) => onDownload(received, total),
    });
    return { name, files };
  }
  if (source.kind === "blobs")
    return { name: source.name, files: new Map([...source.blobs].map(([name, blob]) => [name, blobSource(name, blob)])) };
  const { sha256 } = source;
  const fetchOne = (url: string, onProgress: (received: number, total?: number) => void): Promise<ByteSource> =>
    fetchStored(url, { ...store, signal, onProgress, ...(sha256 === undefined ? {} : { sha256 }) });
  const parts = partUrls(source.url);
  if (parts.length > 1 && sha256 !== undefined)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `load: sha256 is given for a model of ${parts.length} files; leave it out, or name a model of one`,
    );
  const files = new Map<string, ByteSource>();
  try {
    for (const [index, { name, url }] of parts.entries())
      // How large the others are is not known before they are asked for; parts are cut alike.
      files.set(name, await fetchOne(url, (received, total = received) => onDownload(index * total + received, parts.length * total)));
    return { name: source.name, files };
  } catch (error) {
    await Promise.all([...files.values()].map((file) => file.close()));
    throw error;
  }
}

/** The URLs of all parts of a split GGUF file, of which the given is any; else the one. */
function partUrls(address: string): readonly { readonly name: string; readonly url: string }[] {
  const url = new URL(address);
  const [, prefix, count] = /^(.*)-\d{5}-of-(\d{5})\.gguf$/.exec(url.pathname) ?? [];
  const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
  if (prefix === undefined || Number(count) > 1000) {
    const name = nameOf(url.pathname);
    // What a URL without a telling name gives is taken for a GGUF file, which says itself whether it is one.
    return [{ name: name.endsWith(".gguf") ? name : `${name}.gguf`, url: url.href }];
  }
  return Array.from({ length: Number(count) }, (_, index) => {
    const part = new URL(url);
    part.pathname = splitName(prefix, index + 1, Number(count));
    return { name: nameOf(part.pathname), url: part.href };
  });
}

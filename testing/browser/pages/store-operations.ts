/** What the tests of stored downloads do in a page or a worker: calls by name, answers that can be sent, sources and signals kept by number. */
import { FrugalError } from "../../../src/tensor/error.ts";
import type { ByteSource } from "../../../src/tensor/source.ts";
import { pullStored, type PullStoredOptions, type StoredModel } from "../../../src/formats/web/hub.ts";
import {
  deleteStoredFile,
  fetchStored,
  freeSpace,
  requestPersistence,
  storageReport,
  storedFiles,
  type StoreOptions,
} from "../../../src/formats/web/store.ts";

export interface Progress {
  readonly received: number;
  readonly total: number | undefined;
}

export interface Operations {
  readonly run: (name: string, args: readonly unknown[]) => Promise<unknown>;
  /** Of the last call that reports any. */
  readonly progress: () => readonly Progress[];
}

const hashOf = async (source: ByteSource): Promise<string> => {
  const bytes = (await source.read(0, source.byteLength)) as Uint8Array<ArrayBuffer>;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
};

export function operations(): Operations {
  let progress: Progress[] = [];
  let controller = new AbortController();
  const sources: ByteSource[] = [];
  const models: StoredModel[] = [];
  const table: Record<string, (...args: never[]) => unknown> = {
    /** Fetches and leaves the source open. */
    async fetch(url: string, options: StoreOptions = {}) {
      progress = [];
      controller = new AbortController();
      const source = await fetchStored(url, {
        retryDelay: 5,
        ...options,
        signal: controller.signal,
        onProgress: (received, total) => void progress.push({ received, total }),
      });
      const { key, sha256, store, warning, byteLength } = source;
      return { id: sources.push(source) - 1, key, sha256, store, warning, byteLength, content: await hashOf(source) };
    },
    async pull(name: string, options: PullStoredOptions) {
      const model = await pullStored(name, { retryDelay: 5, ...options });
      const files = await Promise.all(Array.from(model.files, async ([path, source]) => [path, await hashOf(source)]));
      return { id: models.push(model) - 1, name: model.name, files, bytes: model.bytes, store: model.store, hashes: model.hashes };
    },
    closeModel: (id: number) => models[id]!.close(),
    read: async (id: number, offset: number, length: number) => Array.from(await sources[id]!.read(offset, length)),
    close: (id: number) => sources[id]!.close(),
    async abort() {
      controller.abort(new Error("stop"));
    },
    storedFiles,
    deleteStoredFile,
    freeSpace,
    storageReport,
    requestPersistence,
    progress: () => progress,
    /** As a user who clears the site's data, or a browser that needs the space. */
    async evict() {
      await (await navigator.storage.getDirectory()).removeEntry("frugal", { recursive: true });
    },
    async truncate(name: string, byteLength: number) {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("frugal");
      const stream = await (await folder.getFileHandle(name)).createWritable({ keepExistingData: true });
      await stream.truncate(byteLength);
      await stream.close();
    },
    async names() {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("frugal");
      const found: string[] = [];
      for await (const name of (folder as unknown as { keys(): AsyncIterable<string> }).keys()) found.push(name);
      return found;
    },
    /** Bytes that count as here when a tab dies now. */
    async received() {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("frugal", { create: true });
      for await (const [name, handle] of (folder as unknown as { entries(): AsyncIterable<[string, FileSystemFileHandle]> }).entries())
        if (name.endsWith(".json")) return (JSON.parse(await (await handle.getFile()).text()) as { received: number }).received;
      return 0;
    },
    /** As private windows of some browsers do. */
    refuseFileSystem() {
      navigator.storage.getDirectory = () => Promise.reject(new DOMException("not here", "SecurityError"));
    },
  };
  return {
    progress: () => progress,
    async run(name, args) {
      try {
        return { value: await table[name]!(...(args as never[])) };
      } catch (error) {
        if (error instanceof FrugalError) return { error: { code: error.code, message: error.message, fields: { ...error.fields } } };
        return { error: { code: "", message: String(error), fields: {} } };
      }
    },
  };
}

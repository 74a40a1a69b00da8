/** Adapters as pages give them, in a form that crosses. */
import { FrugalError } from "../tensor/error.ts";
import type { AdapterRecord } from "./model-methods.ts";
import type { BrowserAdapter } from "./model.ts";
import { sourceRecord } from "./source.ts";

/** Rejects with FRUGAL_BAD_ARGUMENT for what is no adapter. */
export async function adapterRecord(adapter: BrowserAdapter): Promise<AdapterRecord> {
  if (typeof adapter === "string" || adapter instanceof URL) return sourceRecord("adapters", adapter, () => undefined);
  if (adapter instanceof Blob) {
    const name = adapter instanceof File ? adapter.name : await nameOf(adapter);
    return { kind: "blobs", name, blobs: new Map([[name, adapter]]) };
  }
  const files = typeof adapter === "object" && adapter !== null ? Object.entries(adapter) : [];
  if (files.length === 0 || !files.every(([, bytes]) => typeof bytes === "string" || bytes instanceof Uint8Array || bytes instanceof Blob))
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      "adapters: the adapter is neither a file, nor files by name, nor a URL; give one of these",
    );
  return { kind: "files", name: files[0]![0], files: new Map(files) };
}

/** A Blob has none, and its first bytes say what it is. */
async function nameOf(blob: Blob): Promise<string> {
  return (await blob.slice(0, 4).text()) === "GGUF" ? "adapter.gguf" : "adapter_model.safetensors";
}

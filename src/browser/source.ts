/** What a page names as a model or an adapter, in a form that crosses to the engine's worker. */
import { FrugalError } from "../tensor/error.ts";
import { object, text } from "./arguments.ts";

/**
 * A URL (relative ones count from the page), `hf:owner/name[:file]`, "stories" (the embedded model), a Blob or a File, a handle of one, or several
 * Files: a model's folder as a file input gives it, or the parts of a split model.
 */
export type BrowserSource = string | URL | Blob | FileSystemFileHandle | readonly File[];

/** The same, sent. */
export type SourceRecord =
  | { readonly kind: "url"; readonly url: string; readonly name: string; readonly sha256?: string }
  | { readonly kind: "hub"; readonly name: string }
  | { readonly kind: "blobs"; readonly name: string; readonly blobs: ReadonlyMap<string, Blob> };

/** @throws FRUGAL_BAD_ARGUMENT for what names no model. */
export async function sourceRecord(
  call: string,
  source: BrowserSource,
  embedded: (name: string) => string | undefined,
): Promise<SourceRecord> {
  if (typeof source === "string" && source.startsWith("hf:")) return { kind: "hub", name: source };
  if (source instanceof URL || (typeof source === "string" && source !== "")) return urlRecord(call, embedded(String(source)) ?? source);
  if (source instanceof Blob) return blobsOf([[source instanceof File ? source.name : "model.gguf", source]]);
  if (Array.isArray(source) && source.length > 0 && source.every((file) => file instanceof File))
    return blobsOf(source.map((file: File) => [insideFolder(file.webkitRelativePath) ?? file.name, file]));
  if (typeof source === "object" && source !== null && "getFile" in source && typeof source.getFile === "function") {
    const file = await source.getFile();
    return blobsOf([[file.name, file]]);
  }
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${call}: ${describe(source)} names no model; give a URL, hf:owner/name[:file], a File or several, or the embedded model "stories"`,
  );
}

const describe = (source: unknown): string => (source === "" ? "an empty text" : Array.isArray(source) ? "this list" : String(source));

function urlRecord(call: string, source: string | URL): SourceRecord {
  // A page's own address; a worker has none but its script's.
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const url = parsed(source, base);
  if (url === undefined) throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: ${String(source).slice(0, 200)} is no URL; correct it`);
  url.hash = "";
  return { kind: "url", url: url.href, name: decoded(url.pathname.split("/").findLast((part) => part !== "") ?? url.host) };
}

function parsed(source: string | URL, base: string | undefined): URL | undefined {
  try {
    return new URL(source, base);
  } catch {
    return undefined;
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A chosen folder's files without the folder's own name. */
const insideFolder = (path: string): string | undefined => (path.includes("/") ? path.slice(path.indexOf("/") + 1) : undefined);

const blobsOf = (entries: readonly (readonly [string, Blob])[]): SourceRecord => ({
  kind: "blobs",
  name: entries[0]![0],
  blobs: new Map(entries),
});

/** Whether two pages that name the same mean the same bytes. */
export const isShareable = ({ kind }: SourceRecord): boolean => kind !== "blobs";

export function withHash(call: string, record: SourceRecord, sha256: string | undefined): SourceRecord {
  if (sha256 === undefined) return record;
  if (record.kind === "url") return { ...record, sha256 };
  throw new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${call}: sha256 is given for what is no URL; leave it out: of hf: names it is known, and a File is the page's own`,
  );
}

/** As it arrives at the engine. @throws FRUGAL_BAD_ARGUMENT. */
export function checkedSource(call: string, given: unknown): SourceRecord {
  const source = object(call, "the source", given);
  if (source["kind"] === "url") {
    const sha256 = source["sha256"] === undefined ? {} : { sha256: text(call, "sha256", source["sha256"]) };
    return { kind: "url", url: text(call, "the URL", source["url"]), name: text(call, "the name", source["name"]), ...sha256 };
  }
  if (source["kind"] === "hub") return { kind: "hub", name: text(call, "the name", source["name"]) };
  const blobs = source["blobs"];
  if (
    source["kind"] === "blobs" &&
    blobs instanceof Map &&
    [...blobs].every(([name, blob]) => typeof name === "string" && blob instanceof Blob)
  )
    return { kind: "blobs", name: text(call, "the name", source["name"]), blobs: blobs as Map<string, Blob> };
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${call}: the source is of no known kind; name a URL, hf:owner/name or a File`);
}

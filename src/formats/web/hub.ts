/** Models of the Hugging Face hub in a browser: what hub.ts does with a file system, into the browser's own storage. */
import { FrugalError } from "../../tensor/error.ts";
import { checkOptions } from "../../tensor/options.ts";
import type { ByteSource } from "../../tensor/source.ts";
import { hubError } from "../hub/client.ts";
import { type Listing, toListing } from "../hub/entries.ts";
import { checkRevision, checkToken, chooseFiles, type HubFile, isPlainPath, parseHubReference } from "../hub/reference.ts";
import type { PullProgress } from "../hub.ts";
import { isJsonObject } from "../json.ts";
import { checkedUrl } from "./address.ts";
import { checkSpace, fetchInto, isStored, keyOf, wrongHash } from "./fetch.ts";
import { gitHash, textHash } from "./hash.ts";
import { defaultEndpoint, fetchListing } from "./hub-listing.ts";
import type { Place } from "./place.ts";
import { readRecord } from "./record.ts";
import { checkRequest, openPlace, storeOptionNames, type StoreOptions } from "./store.ts";

export interface PullStoredOptions extends Omit<StoreOptions, "sha256" | "byteLength" | "headers" | "onProgress"> {
  /** "https://huggingface.co" where not said otherwise. */
  readonly endpoint?: string;
  /** Access token, "hf_…"; sent to the endpoint only. */
  readonly token?: string;
  /** A branch, a tag or a commit; "main" where not said otherwise. */
  readonly revision?: string;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** The files of a model, open. */
export interface StoredModel {
  /** "owner/name" */
  readonly name: string;
  /** By path in the repository: one GGUF file with its parts in order, or config.json, tokenizer.json, *.safetensors and the like. */
  readonly files: ReadonlyMap<string, ByteSource>;
  readonly bytes: number;
  readonly commit: string;
  /** By path: "sha256:…" of content, or "git-sha1:…" of git's blob for small files. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly store: "opfs" | "none";
  /** Why it is not kept although it should be. */
  readonly warning?: string;
  close(): Promise<void>;
}

/** Where the hub serves a file. */
export function hubUrl(repository: string, path: string, options: { readonly endpoint?: string; readonly revision?: string } = {}): string {
  const { repository: name } = parseHubReference(`hf:${repository}`);
  if (!isPlainPath(path))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `hub: ${JSON.stringify(path)} is not a plain relative path; name a file of ${name}`, {});
  const revision = encodeURIComponent(checkRevision(options.revision ?? "main"));
  return `${options.endpoint ?? defaultEndpoint}/${name}/resolve/${revision}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/**
 * Opens the model that `hf:owner/name` (configuration, tokenizer, safetensors) or `hf:owner/name:file` (one GGUF file with its parts)
 * names, after fetching what is not stored yet. When all is stored the network is not asked, unless with `refresh`. Errors as
 * `fetchStored`, and FRUGAL_NOT_FOUND for a repository or a file that is not there.
 */
export async function pullStored(name: string, options: PullStoredOptions = {}): Promise<StoredModel> {
  checkOptions("pullStored", options, [...storeOptionNames.filter((one) => one !== "headers"), "endpoint", "token", "revision"]);
  checkRequest("pullStored", options);
  const reference = parseHubReference(name);
  checkToken(options.token);
  const pulling: Pulling = {
    repository: reference.repository,
    endpoint: checkedUrl(options.endpoint ?? defaultEndpoint).replace(/\/$/, ""),
    revision: checkRevision(options.revision ?? "main"),
    options,
  };
  options.signal?.throwIfAborted();
  const { place, warning } = await openPlace(options.store);
  const choose = ({ files }: Listing): readonly HubFile[] => chooseFiles(reference, files);

  const kept = options.refresh === true ? undefined : await recallListing(place, pulling);
  if (kept !== undefined && (await areStored(place, pulling, kept.commit, choose(kept))))
    return open(place, pulling, kept.commit, choose(kept), warning);

  const listing = await fetchListing(reference.repository, pulling.revision, { ...options, endpoint: pulling.endpoint });
  const files = choose(listing);
  await checkSpace(place, reference.repository, await missingBytes(place, pulling, listing.commit, files));
  const model = await open(place, pulling, listing.commit, files, warning);
  // The list is only of use to find again what is stored.
  await place.writeText(listingName(pulling), JSON.stringify({ commit: listing.commit, files: listing.files })).catch(() => undefined);
  return model;
}

interface Pulling {
  readonly repository: string;
  readonly endpoint: string;
  readonly revision: string;
  readonly options: PullStoredOptions;
}

const listingName = ({ endpoint, repository, revision }: Pulling): string => `${textHash(`${endpoint} ${repository} ${revision}`)}.listing`;

async function recallListing(place: Place, pulling: Pulling): Promise<Listing | undefined> {
  const text = await place.readText(listingName(pulling));
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? toListing(pulling.repository, value["commit"], value["files"]) : undefined;
  } catch {
    return undefined;
  }
}

const urlOf = ({ repository, endpoint }: Pulling, commit: string, { path }: HubFile): string =>
  hubUrl(repository, path, { endpoint, revision: commit });
/** Large files are named by the SHA-256 of their content, others as git names them. */
const sha256Of = ({ hash }: HubFile): string | undefined => (hash.length === 64 ? hash : undefined);
const keyOfFile = (pulling: Pulling, commit: string, file: HubFile): string => keyOf(urlOf(pulling, commit, file), sha256Of(file));

async function areStored(place: Place, pulling: Pulling, commit: string, files: readonly HubFile[]): Promise<boolean> {
  const here = await Promise.all(files.map((file) => isStored(place, keyOfFile(pulling, commit, file), file.byteLength)));
  return here.every(Boolean);
}

/** All files have to fit, not only the first. */
async function missingBytes(place: Place, pulling: Pulling, commit: string, files: readonly HubFile[]): Promise<number> {
  const missing = await Promise.all(
    files.map(async (file) => file.byteLength - ((await readRecord(place, keyOfFile(pulling, commit, file)))?.received ?? 0)),
  );
  return missing.reduce((sum, bytes) => sum + Math.max(0, bytes), 0);
}

async function open(
  place: Place,
  pulling: Pulling,
  commit: string,
  files: readonly HubFile[],
  warning: string | undefined,
): Promise<StoredModel> {
  const total = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const sources = new Map<string, ByteSource>();
  const close = async (): Promise<void> => {
    for (const source of sources.values()) await source.close();
  };
  try {
    let before = 0;
    for (const file of files) {
      const report = (received: number): void => pulling.options.onProgress?.({ file: file.path, received: before + received, total });
      const further = await missingBytes(place, pulling, commit, files.slice(sources.size + 1));
      sources.set(file.path, await fetchFile(place, pulling, commit, file, further, report));
      before += file.byteLength;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    name: pulling.repository,
    files: sources,
    bytes: total,
    commit,
    hashes: Object.fromEntries(files.map(({ path, hash }) => [path, `${hash.length === 64 ? "sha256" : "git-sha1"}:${hash}`])),
    store: place.kind,
    ...(warning !== undefined && { warning }),
    close,
  };
}

async function fetchFile(
  place: Place,
  pulling: Pulling,
  commit: string,
  file: HubFile,
  further: number,
  onProgress: (received: number) => void,
): Promise<ByteSource> {
  const { token, signal, fetch, retries, retryDelay, stallTimeout } = pulling.options;
  const url = urlOf(pulling, commit, file);
  const sha256 = sha256Of(file);
  const source = await fetchInto(place, url, {
    byteLength: file.byteLength,
    further,
    onProgress,
    ...(sha256 === undefined ? { check: (bytes) => checkGitHash(url, file.hash, bytes, signal) } : { sha256 }),
    // Browsers take it off when the hub redirects to where large files lie.
    ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
    toError: (error, failure, tries) => hubError(`${pulling.repository}/${file.path}`, error, failure, tries),
    ...(signal !== undefined && { signal }),
    ...(fetch !== undefined && { fetch }),
    ...(retries !== undefined && { retries }),
    ...(retryDelay !== undefined && { retryDelay }),
    ...(stallTimeout !== undefined && { stallTimeout }),
  });
  return { ...source, name: `${pulling.repository}/${file.path}` };
}

async function checkGitHash(url: string, expected: string, source: ByteSource, signal: AbortSignal | undefined): Promise<void> {
  const hash = await gitHash(source, signal);
  if (hash !== expected) throw wrongHash(url, expected, hash);
}

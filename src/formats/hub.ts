/** Fetching models from the Hugging Face hub into a cache, resumably and checked. */
import { freshListing } from "./hub/listing.ts";
import { homeDirectory, joinPath } from "./files.ts";
import { isCached, keepListing, linkFile, recallListing, repositoryCache, type RepositoryCache, snapshotDirectory } from "./hub/cache.ts";
import type { HubOptions } from "./hub/client.ts";
import type { Listing } from "./hub/entries.ts";
import { checkRevision, checkToken, chooseFiles, type HubFile, parseHubReference } from "./hub/reference.ts";
import { transferFile } from "./hub/transfer.ts";

export interface PullProgress {
  /** The file that is being fetched. */
  readonly file: string;
  /** Bytes here so far and in all, over all files. */
  readonly received: number;
  readonly total: number;
}

export interface PullOptions extends HubOptions {
  /** Where the cache lies; `hub/` in Frugal's cache directory (`defaultHubCache`) where not said otherwise. */
  readonly cacheDirectory?: string;
  /** A branch, a tag or a commit; "main" where not said otherwise. */
  readonly revision?: string;
  /** Ask the hub even where everything is in the cache: a branch may have moved. */
  readonly refresh?: boolean;
  readonly onProgress?: (progress: PullProgress) => void;
}

export interface Pulled {
  /** The GGUF file (of a split one, the first part), or the directory of the snapshot. */
  readonly path: string;
  /** Bytes of all its files. */
  readonly bytes: number;
  readonly commit: string;
  /** By path in the repository: "sha256:…" of content, or "git-sha1:…" of git's blob for small files. */
  readonly hashes: Readonly<Record<string, string>>;
}

/** `~/.cache/frugal/hub`, or `hub` in the directory given (the caller passes the variable FRUGAL_CACHE). */
export const defaultHubCache = (cache?: string): string => joinPath(cache ?? joinPath(homeDirectory(), ".cache", "frugal"), "hub");

/**
 * Fetches what `hf:owner/name` (configuration, tokenizer, safetensors) or `hf:owner/name:file` (one GGUF file with its parts)
 * names. What is in the cache is not fetched again, and when all is there the network is not asked. Rejects with
 * FRUGAL_BAD_ARGUMENT, FRUGAL_NOT_FOUND, FRUGAL_NETWORK, FRUGAL_NO_SPACE, FRUGAL_BAD_FILE, or the signal's reason; what has
 * come so far is kept for the next try.
 */
export async function pull(name: string, options: PullOptions = {}): Promise<Pulled> {
  const reference = parseHubReference(name);
  const revision = checkRevision(options.revision ?? "main");
  checkToken(options.token);
  options.signal?.throwIfAborted();
  const cache = repositoryCache(options.cacheDirectory ?? defaultHubCache(), reference.repository);

  const kept = options.refresh === true ? undefined : await recallListing(cache, revision);
  if (kept !== undefined) {
    const files = chooseFiles(reference, kept.files);
    const here = await Promise.all(files.map((file) => isCached(cache, kept.commit, file)));
    if (here.every(Boolean)) return toPulled(cache, kept, files, reference.file);
  }

  const listing = await freshListing(reference.repository, revision, options);
  const files = chooseFiles(reference, listing.files);
  await keepListing(cache, revision, listing);
  await fetchFiles(cache, listing, files, options);
  return toPulled(cache, listing, files, reference.file);
}

async function fetchFiles(cache: RepositoryCache, listing: Listing, files: readonly HubFile[], options: PullOptions): Promise<void> {
  const total = files.reduce((n, file) => n + file.byteLength, 0);
  let before = 0;
  for (const file of files) {
    const onBytes = (received: number): void => options.onProgress?.({ file: file.path, received: before + received, total });
    await transferFile({ cache, commit: listing.commit, file, onBytes }, options);
    await linkFile(cache, listing.commit, file);
    before += file.byteLength;
  }
}

function toPulled(cache: RepositoryCache, { commit }: Listing, files: readonly HubFile[], file: string | undefined): Pulled {
  const snapshot = snapshotDirectory(cache, commit);
  // One GGUF file may be chosen without being named, where the repository has no other weights.
  const first = file !== undefined || files[0]!.path.endsWith(".gguf") ? files[0]!.path.split("/") : [];
  return {
    path: joinPath(snapshot, ...first),
    bytes: files.reduce((n, { byteLength }) => n + byteLength, 0),
    commit,
    hashes: Object.fromEntries(files.map(({ path, hash }) => [path, `${hash.length === 64 ? "sha256" : "git-sha1"}:${hash}`])),
  };
}

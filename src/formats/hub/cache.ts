/**
 * The cache of fetched files, laid out as Hugging Face's own tools do: `models--owner--name/` with `blobs/<hash>`, and
 * `snapshots/<commit>/<path>` as links to them, `refs/<revision>` naming the commit. `frugal/<commit>.json` keeps the
 * repository's list of files, so that a model that is here is found without asking the network.
 */
import { FrugalError } from "../../tensor/error.ts";
import { directoryOf, exists, fileSize, joinPath, link, makeDirectory, readWhole, replace, writeWhole } from "../files.ts";
import { parseJsonObject } from "../json.ts";
import { commitPattern, type Listing, toListing } from "./entries.ts";
import type { HubFile } from "./reference.ts";

export interface RepositoryCache {
  readonly repository: string;
  readonly directory: string;
}

const LISTING_LIMIT = 64 << 20;

export const repositoryCache = (cacheDirectory: string, repository: string): RepositoryCache => ({
  repository,
  directory: joinPath(cacheDirectory, `models--${repository.replace("/", "--")}`),
});

export const blobPath = (cache: RepositoryCache, file: HubFile): string => joinPath(cache.directory, "blobs", file.hash);
/** Where a download grows until it is whole. */
export const partialPath = (cache: RepositoryCache, file: HubFile): string => `${blobPath(cache, file)}.incomplete`;
export const snapshotDirectory = (cache: RepositoryCache, commit: string): string => joinPath(cache.directory, "snapshots", commit);

const referencePath = (cache: RepositoryCache, revision: string): string => joinPath(cache.directory, "refs", ...revision.split("/"));
const listingPath = (cache: RepositoryCache, commit: string): string => joinPath(cache.directory, "frugal", `${commit}.json`);

/** The listing kept for a revision (a branch, a tag or a commit), if any. A damaged one counts as none. */
export async function recallListing(cache: RepositoryCache, revision: string): Promise<Listing | undefined> {
  try {
    const commit = commitPattern.test(revision)
      ? revision
      : new TextDecoder().decode(await readWhole(referencePath(cache, revision), 1000)).trim();
    if (!commitPattern.test(commit)) return undefined;
    const path = listingPath(cache, commit);
    const { files } = parseJsonObject(path, await readWhole(path, LISTING_LIMIT));
    return toListing(cache.repository, commit, files);
  } catch (error) {
    if (error instanceof FrugalError) return undefined;
    throw error;
  }
}

export async function keepListing(cache: RepositoryCache, revision: string, listing: Listing): Promise<void> {
  const path = listingPath(cache, listing.commit);
  await makeDirectory(directoryOf(path));
  await writeWhole(path, JSON.stringify({ files: listing.files }));
  if (revision === listing.commit) return;
  const reference = referencePath(cache, revision);
  await makeDirectory(directoryOf(reference));
  await writeWhole(reference, listing.commit);
}

/** Whether a file is here whole; its hash was checked when it took its name. */
export const isCached = async (cache: RepositoryCache, commit: string, file: HubFile): Promise<boolean> =>
  (await fileSize(joinPath(snapshotDirectory(cache, commit), ...file.path.split("/")))) === file.byteLength;

export const hasBlob = async (cache: RepositoryCache, file: HubFile): Promise<boolean> =>
  (await fileSize(blobPath(cache, file))) === file.byteLength;

/** A checked download takes its name. */
export const keepBlob = (cache: RepositoryCache, file: HubFile): Promise<void> => replace(partialPath(cache, file), blobPath(cache, file));

/** Makes a blob visible under its name in the snapshot. */
export async function linkFile(cache: RepositoryCache, commit: string, file: HubFile): Promise<string> {
  const path = joinPath(snapshotDirectory(cache, commit), ...file.path.split("/"));
  await makeDirectory(directoryOf(path));
  if (!(await exists(path)) || !(await isCached(cache, commit, file))) await link(blobPath(cache, file), path);
  return path;
}

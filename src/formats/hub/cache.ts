/**
 * The cache of fetched files, laid out as Hugging Face's own tools do: `models--owner--name/` with `blobs/<hash>`, and
 * `snapshots/<commit>/<path>` as links to them, `refs/<revision>` naming the commit. `frugal/<commit>.json` keeps the
 * repository's list of files, so that a model that is here is found without asking the network.
 */
import { FrugalError } from "../../tensor/error.ts";
import { directoryOf, exists, fileSize, joinPath, link, makeDirectory, readWhole, replace, writeWhole } from "../files.ts";
import { isJsonObject, parseJsonObject } from "../json.ts";
import { type HubFile, isPlainPath } from "./reference.ts";

/** What is known of a repository at a revision. */
export interface Listing {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

export interface RepositoryCache {
  readonly repository: string;
  readonly directory: string;
}

const LISTING_LIMIT = 64 << 20;

export const repositoryCache = (cacheDirectory: string, repository: string): RepositoryCache => ({
  repository,
  directory: joinPath(cacheDirectory, `models--${repository.replace("/", "--")}`),
});

const commitPattern = /^[0-9a-f]{40}$/;
const hashPattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

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

/** Checks what a server or a file said of a repository: commit, paths, sizes and hashes become names of files here. */
export function toListing(repository: string, commit: string, files: unknown): Listing {
  const bad = (wrong: string): FrugalError =>
    new FrugalError("FRUGAL_NETWORK", `hub: ${repository}: the server ${wrong}; try again, or check the endpoint`, { repository });
  if (!commitPattern.test(commit)) throw bad(`names the commit ${JSON.stringify(commit)}, which is not one`);
  if (!Array.isArray(files)) throw bad("sent no list of files");
  return {
    commit,
    files: files.map((file: unknown): HubFile => {
      if (!isJsonObject(file)) throw bad("sent a file without an entry");
      const { path, byteLength, hash } = file;
      if (typeof path !== "string" || !isPlainPath(path))
        throw bad(`sent the path ${JSON.stringify(path)}, which is not a plain relative one`);
      if (typeof byteLength !== "number" || !Number.isSafeInteger(byteLength) || byteLength < 0) throw bad(`sent no size of ${path}`);
      if (typeof hash !== "string" || !hashPattern.test(hash)) throw bad(`sent no hash of ${path}`);
      return { path, byteLength, hash };
    }),
  };
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

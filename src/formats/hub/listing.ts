/** Asks the hub which commit a revision is and which files it has. */
import { watch } from "../request.ts";
import { boundedFetch, type HubOptions, retryingHub } from "./client.ts";
import { FILE_LIMIT, type Listing, toListing, tooManyFiles } from "./entries.ts";
import { type HubFile, isPlainPath } from "./reference.ts";

export async function freshListing(repository: string, revision: string, options: HubOptions): Promise<Listing> {
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  return retryingHub(`${repository} at ${revision}`, options, async () => {
    const connection = watch(options);
    const common = {
      fetch: boundedFetch(connection),
      ...(options.endpoint !== undefined && { hubUrl: options.endpoint }),
      ...(options.token !== undefined && { accessToken: options.token }),
    };
    try {
      const { sha } = await modelInfo({ name: repository, revision, additionalFields: ["sha"], ...common });
      const files: HubFile[] = [];
      for await (const entry of listFiles({ repo: repository, revision: sha, recursive: true, ...common })) {
        // A file with a name that could leave the cache can do no harm in a list of files that may be chosen, if it is not in it.
        if (entry.type !== "file" || !isPlainPath(entry.path)) continue;
        if (files.length === FILE_LIMIT) throw tooManyFiles(repository);
        files.push({ path: entry.path, byteLength: entry.size, hash: entry.lfs?.oid ?? entry.oid ?? "" });
      }
      return toListing(repository, sha, files);
    } catch (error) {
      throw connection.signal.aborted ? connection.signal.reason : error;
    } finally {
      connection.end();
    }
  });
}

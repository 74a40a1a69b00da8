/** Asks the hub for a repository's files by `fetch`: two kinds of request do not need its library (5 KB packed; this is 1). */
import { FrugalError } from "../../tensor/error.ts";
import { boundedFetch, type HubOptions, retryingHub } from "../hub/client.ts";
import { FILE_LIMIT, type Listing, toListing, tooManyFiles } from "../hub/entries.ts";
import { isPlainPath } from "../hub/reference.ts";
import { isJsonObject, parseJson } from "../json.ts";
import { RequestError, watch } from "../request.ts";

export interface ListingOptions extends HubOptions {
  readonly fetch?: typeof fetch;
}

export const defaultEndpoint = "https://huggingface.co";

/** Errors: FRUGAL_NETWORK, FRUGAL_NOT_FOUND, FRUGAL_UNSUPPORTED, or the signal's reason. */
export async function fetchListing(repository: string, revision: string, options: ListingOptions): Promise<Listing> {
  const endpoint = options.endpoint ?? defaultEndpoint;
  const api = `${endpoint}/api/models/${repository}`;
  return retryingHub(`${repository} at ${revision}`, options, async () => {
    const info = await askJson(`${api}/revision/${encodeURIComponent(revision)}`, options);
    const { commit } = toListing(repository, isJsonObject(info.value) ? info.value["sha"] : undefined, []);
    const files: unknown[] = [];
    for (let next: string | undefined = `${api}/tree/${commit}?recursive=true`; next !== undefined;) {
      const { value, link } = await askJson(next, options);
      if (!Array.isArray(value)) throw misled(repository, "sent no list of files");
      files.push(...value.flatMap(fileOf));
      if (files.length > FILE_LIMIT) throw tooManyFiles(repository);
      const following = nextPage(link, next, endpoint, repository);
      // A page without entries after which more should come would let a server keep us asking.
      if (following !== undefined && value.length === 0) throw misled(repository, "sends empty pages");
      next = following;
    }
    return toListing(repository, commit, files);
  });
}

const misled = (repository: string, wrong: string): FrugalError =>
  new FrugalError("FRUGAL_NETWORK", `hub: ${repository}: the server ${wrong}; try again, or check the endpoint`, { repository });

async function askJson(url: string, options: ListingOptions): Promise<{ value: unknown; link: string | null }> {
  const connection = watch(options);
  try {
    const headers = { ...(options.token !== undefined && { authorization: `Bearer ${options.token}` }) };
    const response = await boundedFetch(connection, options.fetch)(url, { headers });
    const value = readJson(url, new Uint8Array(await response.arrayBuffer()));
    return { value, link: response.headers.get("link") };
  } catch (error) {
    throw connection.signal.aborted ? connection.signal.reason : error;
  } finally {
    connection.end();
  }
}

/** A network that wants a login first answers with a page of its own. */
function readJson(url: string, bytes: Uint8Array): unknown {
  try {
    return parseJson(url, bytes);
  } catch (error) {
    throw new RequestError("the answer is no JSON", { cause: error });
  }
}

/** Large files are known by the SHA-256 of their content, others by git's hash. A path that is not plain cannot be chosen. */
function fileOf(entry: unknown): unknown[] {
  if (!isJsonObject(entry) || entry["type"] !== "file") return [];
  const { path, size, oid, lfs } = entry;
  if (typeof path !== "string" || !isPlainPath(path)) return [];
  return [{ path, byteLength: size, hash: isJsonObject(lfs) ? lfs["oid"] : oid }];
}

/** The token goes to the endpoint only, so a list may not go on elsewhere. */
function nextPage(link: string | null, current: string, endpoint: string, repository: string): string | undefined {
  const found = /<([^<>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1];
  if (found === undefined) return undefined;
  if (!URL.canParse(found, current) || new URL(found, current).origin !== new URL(endpoint).origin)
    throw misled(repository, `continues its list at ${JSON.stringify(found)}, which is elsewhere`);
  return new URL(found, current).href;
}

/** Fetches one file into the cache: goes on where an earlier try ended, and checks the hash before the file takes its name. */
import { FrugalError } from "../../tensor/error.ts";
import { directoryOf, fileSize, freeSpace, hashFile, type GrowingFile, makeDirectory, openGrowing, remove } from "../files.ts";
import { blobPath, hasBlob, keepBlob, partialPath, type RepositoryCache } from "./cache.ts";
import { RequestError, watch } from "../request.ts";
import { type HubOptions, retryingHub, watchedFetch } from "./client.ts";
import type { HubFile } from "./reference.ts";

export interface Transfer {
  readonly cache: RepositoryCache;
  readonly commit: string;
  readonly file: HubFile;
  /** Bytes of this file that are here. */
  readonly onBytes: (received: number) => void;
}

/** Fetches a file unless its blob is here. Rejects with FRUGAL_NETWORK, FRUGAL_NOT_FOUND, FRUGAL_NO_SPACE, FRUGAL_BAD_FILE (wrong hash twice) or the signal's reason. */
export async function transferFile(transfer: Transfer, options: HubOptions): Promise<void> {
  const { cache, file } = transfer;
  if (await hasBlob(cache, file)) return transfer.onBytes(file.byteLength);
  await makeDirectory(directoryOf(blobPath(cache, file)));
  try {
    await fetchAndKeep(transfer, options);
  } catch (error) {
    // Somebody else fetched the same file at the same time and took the partial one away by finishing it.
    const taken = error instanceof FrugalError && error.code === "FRUGAL_NOT_FOUND" && (await hasBlob(cache, file));
    if (!taken) throw error;
  }
}

async function fetchAndKeep(transfer: Transfer, options: HubOptions): Promise<void> {
  const { cache, file } = transfer;
  const partial = partialPath(cache, file);
  // What an earlier process left may be damaged, so a wrong hash is worth one fresh start.
  for (let fresh = false; ; fresh = true) {
    await checkSpace(transfer);
    await fetchAll(transfer, options);
    const hash = await hashOf(partial, file, options.signal);
    if (hash === file.hash) return keepBlob(cache, file);
    await remove(partial);
    if (fresh)
      throw new FrugalError(
        "FRUGAL_BAD_FILE",
        `hub: ${cache.repository}/${file.path}: what came has the hash ${hash}, not ${file.hash}, twice; try again later or use another endpoint`,
        { expected: file.hash, hash },
      );
  }
}

/** Large files are named by the SHA-256 of their content, others as git names them. */
const hashOf = (path: string, file: HubFile, signal: AbortSignal | undefined): Promise<string> =>
  file.hash.length === 64 ? hashFile(path, "sha256", "", signal) : hashFile(path, "sha1", `blob ${file.byteLength}\0`, signal);

async function checkSpace({ cache, file }: Transfer): Promise<void> {
  const needed = file.byteLength - ((await fileSize(partialPath(cache, file))) ?? 0);
  const free = await freeSpace(cache.directory);
  if (needed <= free) return;
  throw new FrugalError(
    "FRUGAL_NO_SPACE",
    `hub: ${cache.repository}/${file.path} needs ${needed} more bytes, but ${cache.directory} has ${free} free; free some or choose another cache`,
    {
      needed,
      available: free,
    },
  );
}

async function fetchAll(transfer: Transfer, options: HubOptions): Promise<void> {
  const { cache, file } = transfer;
  const partial = partialPath(cache, file);
  if (((await fileSize(partial)) ?? 0) > file.byteLength) await remove(partial);
  const growing = await openGrowing(partial);
  let received = growing.byteLength;
  let before = received;
  try {
    transfer.onBytes(received);
    await retryingHub(
      `${cache.repository}/${file.path}`,
      options,
      async () => {
        before = received;
        if (received < file.byteLength) await fetchRest(transfer, options, growing, received, (now) => (received = now));
      },
      () => received > before,
    );
  } finally {
    await growing.close();
  }
}

/** One connection: bytes from `from` to the end, each written as it comes. */
async function fetchRest(
  transfer: Transfer,
  options: HubOptions,
  growing: GrowingFile,
  from: number,
  onReceived: (received: number) => void,
): Promise<void> {
  const { cache, commit, file } = transfer;
  const { downloadFile } = await import("@huggingface/hub");
  const connection = watch(options);
  const failures: unknown[] = [];
  try {
    const request = watchedFetch(connection);
    const blob = await downloadFile({
      repo: cache.repository,
      path: file.path,
      revision: commit,
      xet: false,
      ...(options.endpoint !== undefined && { hubUrl: options.endpoint }),
      ...(options.token !== undefined && { accessToken: options.token }),
      fetch: keepingErrors(async (input, init) => checkRange(await request(input, init), init), failures),
    });
    if (blob === null) throw new RequestError("the file is not there", { status: 404, cause: undefined });
    if (blob.size !== file.byteLength)
      throw new RequestError(`the server has ${blob.size} bytes where the listing says ${file.byteLength}`, { cause: undefined });
    await writeStream(transfer, blob.slice(from).stream(), growing, from, onReceived, connection.alive);
  } catch (error) {
    throw failures.at(-1) ?? (connection.signal.aborted ? connection.signal.reason : error);
  } finally {
    connection.end();
  }
}

/** The library's stream reports a failed request by its message only, so the errors themselves are kept here. */
const keepingErrors =
  (request: typeof fetch, failures: unknown[]): typeof fetch =>
  async (input, init) => {
    try {
      return await request(input, init);
    } catch (error) {
      failures.push(error);
      throw error;
    }
  };

/** A server may answer a request for the rest with the whole, which would be written at the wrong place. */
function checkRange(response: Response, init: RequestInit | undefined): Response {
  const range = new Headers(init?.headers).get("range");
  const wanted = /^bytes=(\d+)-/.exec(range ?? "")?.[1];
  const got = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
  if (wanted === undefined || wanted === got || (wanted === "0" && response.status === 200)) return response;
  throw new RequestError(
    `the server sent ${got === undefined ? "the whole file" : `bytes from ${got}`} when asked for the rest from byte ${wanted}`,
    { cause: undefined },
  );
}

async function writeStream(
  { file, onBytes }: Transfer,
  stream: ReadableStream<Uint8Array>,
  growing: GrowingFile,
  from: number,
  onReceived: (received: number) => void,
  alive: () => void,
): Promise<void> {
  let offset = from;
  for await (const chunk of stream) {
    alive();
    if (offset + chunk.length > file.byteLength)
      throw new RequestError(`more than the ${file.byteLength} bytes announced came`, { cause: undefined });
    await growing.writeAt(offset, chunk);
    offset += chunk.length;
    onReceived(offset);
    onBytes(offset);
  }
  if (offset < file.byteLength)
    throw new RequestError(`the connection ended after ${offset} of ${file.byteLength} bytes`, { cause: undefined });
}

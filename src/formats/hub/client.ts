/** Talking to the hub through its library: requests that end, are tried again where that helps, and fail with typed errors. */
import { FrugalError } from "../../tensor/error.ts";

export interface HubOptions {
  /** "https://huggingface.co" where not said otherwise. */
  readonly endpoint?: string;
  /** Access token, "hf_…". */
  readonly token?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds without a byte after which a connection is given up; 30,000 where not said otherwise. */
  readonly stallTimeout?: number;
  /** How often a failed request is tried again without any progress in between; 5 where not said otherwise. */
  readonly retries?: number;
  /** Milliseconds before the first new try; doubled for each further one. 500 where not said otherwise. */
  readonly retryDelay?: number;
}

/** Why a request failed, before it is clear whether it is tried again. */
export interface RequestFailure {
  readonly status?: number;
  readonly retryAfter?: number;
  readonly cause: unknown;
}

/** Thrown inside, so that a failure survives the library, which keeps only messages. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly failure: RequestFailure;
  constructor(message: string, failure: RequestFailure) {
    super(message, { cause: failure.cause });
    this.failure = failure;
  }
}

export const STALL_TIMEOUT = 30_000;
const RETRIES = 5;
const RETRY_DELAY = 500;
const LONGEST_DELAY = 60_000;
/** Listings are a few kilobytes; what is larger is not one. */
const ANSWER_LIMIT = 64 << 20;

/** A connection for one request: aborted by the caller's signal or when `alive` was not called for the stall time. */
export interface Watch {
  readonly signal: AbortSignal;
  alive(): void;
  end(): void;
}

export function watch(options: HubOptions): Watch {
  const controller = new AbortController();
  const limit = options.stallTimeout ?? STALL_TIMEOUT;
  const stalled = (): void => controller.abort(new RequestError(`no byte came for ${limit} ms`, { cause: undefined }));
  let timer = setTimeout(stalled, limit);
  const abort = (): void => controller.abort(options.signal?.reason);
  if (options.signal?.aborted === true) abort();
  options.signal?.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    alive() {
      clearTimeout(timer);
      timer = setTimeout(stalled, limit);
    },
    end() {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", abort);
    },
  };
}

/** `fetch` for the library: ends with the watch, and turns an answer that is not good into a `RequestError` that knows its status. */
export function watchedFetch(connection: Watch): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, { ...init, signal: connection.signal });
    connection.alive();
    if (response.ok) return response;
    const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
    const text = new TextDecoder().decode(await readLimited(response, connection, 4096).catch(() => new Uint8Array()));
    throw new RequestError(`HTTP ${response.status} ${errorText(text)}`.trim(), {
      status: response.status,
      ...(seconds >= 0 && { retryAfter: 1000 * seconds }),
      cause: undefined,
    });
  };
}

function errorText(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === "string" ? error : "";
  } catch {
    return "";
  }
}

/** As `watchedFetch`, with the answer read whole and bounded: for listings. */
export function boundedFetch(connection: Watch): typeof fetch {
  const request = watchedFetch(connection);
  return async (input, init) => {
    const response = await request(input, init);
    const { status, headers } = response;
    return new Response(await readLimited(response, connection, ANSWER_LIMIT), { status, headers });
  };
}

async function readLimited(response: Response, connection: Watch, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    connection.alive();
    length += part.length;
    if (length > limit)
      throw new FrugalError("FRUGAL_NETWORK", `hub: ${response.url} answers with more than ${limit} bytes; check the endpoint`, { limit });
    parts.push(part);
  }
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

/** Statuses that a later try may not meet. */
const passing = (status: number | undefined): boolean => status === undefined || status === 408 || status === 429 || status >= 500;

/** Runs `attempt` until it succeeds or trying again is of no use. `progressed` tells whether the last try moved on, which starts the count anew. */
export async function retrying<T>(
  what: string,
  options: HubOptions,
  attempt: () => Promise<T>,
  progressed: () => boolean = () => false,
): Promise<T> {
  const retries = options.retries ?? RETRIES;
  for (let failed = 0; ;) {
    options.signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof FrugalError) throw error;
      const failure = error instanceof RequestError ? error.failure : { cause: error };
      failed = progressed() ? 1 : failed + 1;
      if (!passing(failure.status) || failed > retries) throw toFrugalError(what, error, failure, failed);
      const delay = Math.max(failure.retryAfter ?? 0, (options.retryDelay ?? RETRY_DELAY) * 2 ** (failed - 1));
      await sleep(Math.min(delay, LONGEST_DELAY), options.signal);
    }
  }
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

function toFrugalError(what: string, error: unknown, { status }: RequestFailure, tries: number): FrugalError {
  const said = reason(error);
  const fields = { status, tries };
  const wrap = (code: "FRUGAL_NETWORK" | "FRUGAL_NOT_FOUND", remedy: string): FrugalError =>
    new FrugalError(code, `hub: ${what}: ${said}; ${remedy}`, fields, { cause: error });
  if (status === 401 || status === 403)
    return wrap(
      "FRUGAL_NETWORK",
      "the repository is private, gated or misspelt: accept its terms on its page, and pass a token (HF_TOKEN)",
    );
  if (status === 404) return wrap("FRUGAL_NOT_FOUND", "check the owner, the name and the revision");
  if (status === 429) return wrap("FRUGAL_NETWORK", "too many requests, wait a while or pass a token (HF_TOKEN)");
  return wrap("FRUGAL_NETWORK", `tried ${tries} times, check the connection and try again: what has come is kept`);
}

/** "fetch failed" hides the system's reason one level down. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== "" ? `${error.message} (${cause.message})` : error.message;
}

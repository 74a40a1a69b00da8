/** Requests that end: given up when no byte comes, tried again where that helps, stopped by the caller's signal. */
import { FrugalError } from "../tensor/error.ts";

export interface RequestOptions {
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
  /** Milliseconds that the server asks to wait. */
  readonly retryAfter?: number;
  /** Where a failure is likely to stay, fewer new tries than the options allow. */
  readonly retries?: number;
  readonly cause: unknown;
}

/** Thrown inside, so that a failure survives libraries that keep only messages. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly failure: RequestFailure;
  constructor(message: string, failure: RequestFailure) {
    super(message, { cause: failure.cause });
    this.failure = failure;
  }
}

const STALL_TIMEOUT = 30_000;
const RETRIES = 5;
const RETRY_DELAY = 500;
const LONGEST_DELAY = 60_000;

/** A connection for one request: aborted by the caller's signal or when `alive` was not called for the stall time. */
export interface Watch {
  readonly signal: AbortSignal;
  alive(): void;
  /** No longer watches. */
  end(): void;
  /** Ends, and aborts what still comes. */
  drop(): void;
}

export function watch(options: RequestOptions): Watch {
  const controller = new AbortController();
  const limit = options.stallTimeout ?? STALL_TIMEOUT;
  const stalled = (): void => controller.abort(new RequestError(`no byte came for ${limit} ms`, { cause: undefined }));
  let timer = setTimeout(stalled, limit);
  const abort = (): void => controller.abort(options.signal?.reason);
  if (options.signal?.aborted === true) abort();
  options.signal?.addEventListener("abort", abort, { once: true });
  const end = (): void => {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", abort);
  };
  return {
    signal: controller.signal,
    alive() {
      clearTimeout(timer);
      timer = setTimeout(stalled, limit);
    },
    end,
    drop() {
      end();
      controller.abort(new DOMException("the rest is not wanted", "AbortError"));
    },
  };
}

/** An answer that is not good, as an error that knows its status and how long to wait (RFC 9110, 10.2.3: seconds or a date). */
export function statusError({ status, headers }: Response, said: string): RequestError {
  const after = headers.get("retry-after") ?? "";
  const milliseconds = /^\s*[\d.]+\s*$/.test(after) ? 1000 * Number(after) : Date.parse(after) - Date.now();
  return new RequestError(`HTTP ${status} ${said}`.trim(), {
    status,
    ...(milliseconds >= 0 && { retryAfter: milliseconds }),
    cause: undefined,
  });
}

/** A body as it comes; where the loop ends early, the rest is not asked for. Some browsers cannot iterate over a body itself. */
export async function* chunksOf({ body }: Pick<Response, "body">): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = body?.getReader();
  if (reader === undefined) return;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** A whole body; undefined where it is longer than `limit` bytes. */
export async function readLimited(response: Response, connection: Watch, limit: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const part of chunksOf(response)) {
    connection.alive();
    length += part.length;
    if (length > limit) return undefined;
    parts.push(part);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Statuses that a later try may not meet. */
const passing = (status: number | undefined): boolean => status === undefined || status === 408 || status === 429 || status >= 500;

export interface Attempts<T> {
  readonly attempt: () => Promise<T>;
  /** The error for the caller, when trying again is of no use. */
  readonly toError: (error: unknown, failure: RequestFailure, tries: number) => Error;
  /** Whether the last try moved on, which starts the count anew. */
  readonly progressed?: () => boolean;
}

/** Runs `attempt` until it succeeds or trying again is of no use. A `FrugalError` is not tried again. */
export async function retrying<T>({ attempt, toError, progressed }: Attempts<T>, options: RequestOptions): Promise<T> {
  for (let failed = 0; ;) {
    options.signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof FrugalError) throw error;
      const failure: RequestFailure = error instanceof RequestError ? error.failure : { cause: error };
      failed = progressed?.() === true ? 1 : failed + 1;
      const retries = Math.min(options.retries ?? RETRIES, failure.retries ?? Number.POSITIVE_INFINITY);
      if (!passing(failure.status) || failed > retries) throw toError(error, failure, failed);
      const delay = Math.max(failure.retryAfter ?? 0, (options.retryDelay ?? RETRY_DELAY) * 2 ** (failed - 1));
      await sleep(Math.min(delay, LONGEST_DELAY), options.signal);
    }
  }
}

/** Rejects with the signal's reason when it comes first. */
export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    if (signal?.aborted === true) return void reject(signal.reason as Error);
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** "fetch failed" hides the system's reason one level down. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== "" ? `${error.message} (${cause.message})` : error.message;
}

/**
 * Receives one URL into a growing file: from where an earlier try ended if the server still has the same version, hashed as it
 * comes, tried again while that moves on. Knows HTTP and nothing of browsers, so it is tested against servers that misbehave.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { FrugalError } from "../../tensor/error.ts";
import { chunksOf, RequestError, type RequestFailure, type RequestOptions, retrying, statusError, watch, type Watch } from "../request.ts";
import { type Answer, checkTotal, readAnswer } from "./answer.ts";
import { downloadError, fetchError, isOtherOrigin } from "./failures.ts";
import { hexadecimal } from "./hash.ts";
import type { GrowingFile } from "./place.ts";

export interface ReceiveOptions extends RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: the one that is there. */
  readonly fetch?: typeof fetch;
  /** Bytes received so far and in all; these are undefined where the server does not say. */
  readonly onProgress?: (received: number, total: number | undefined) => void;
}

/** What is known of a download. `received` counts what outlives this tab. */
export interface Download {
  readonly received: number;
  readonly total?: number;
  readonly validator?: string;
}

export interface Receiving {
  readonly url: string;
  readonly file: GrowingFile;
  readonly earlier: Download;
  /** Bytes and SHA-256 of the whole, where they are known before. */
  readonly expected: { readonly byteLength?: number; readonly sha256?: string };
  /** Rejects where the bytes from one to the end do not fit. Asked before the first one is written. */
  readonly checkSpace: (from: number, total: number) => Promise<void>;
  /** Writes down what is known; called before the first byte of a version and then now and then. */
  readonly onKept: (download: Download) => Promise<void>;
  /** Default: `downloadError`. */
  readonly toError?: (error: unknown, failure: RequestFailure, tries: number) => FrugalError;
}

export interface Received extends Download {
  readonly sha256: string;
  /** Bytes that were here before, from an earlier call. */
  readonly resumedAt: number;
}

const KEEP_BYTES = 8 << 20;
const KEEP_MILLISECONDS = 1000;
const HASH_STEP = 1 << 20;

/** Resolves when all bytes are in the file. Errors: FRUGAL_NETWORK, FRUGAL_NOT_FOUND, FRUGAL_NO_SPACE, FRUGAL_BAD_FILE, or the signal's reason. */
export async function receive(receiving: Receiving, options: ReceiveOptions): Promise<Received> {
  const { url, file, earlier, expected } = receiving;
  const state: State = {
    received: 0,
    kept: 0,
    keptAt: 0,
    total: undefined,
    validator: undefined,
    hash: sha256.create(),
    hasAnswered: false,
  };
  // Without a version or a hash, nobody can tell whether the rest belongs to what is here.
  if (earlier.received > 0 && (earlier.validator !== undefined || expected.sha256 !== undefined)) {
    await hashKept(receiving, state, options);
    Object.assign(state, { kept: state.received, total: earlier.total, validator: earlier.validator });
  } else await file.truncate(0);
  const resumedAt = state.received;
  let furthest = state.received;
  let before = furthest;
  options.onProgress?.(state.received, expected.byteLength ?? state.total);
  await retrying(
    {
      attempt: async () => {
        before = furthest;
        const note = (): void => void (furthest = Math.max(furthest, state.received));
        while (!(await connect(receiving, state, options, note)));
      },
      toError: receiving.toError ?? ((error, failure, tries) => downloadError(url, error, failure, tries)),
      progressed: () => furthest > before,
    },
    options,
  );
  const { received, validator } = state;
  return {
    received,
    total: received,
    ...(validator !== undefined && { validator }),
    sha256: hexadecimal(state.hash.digest()),
    resumedAt,
  };
}

interface State {
  received: number;
  kept: number;
  keptAt: number;
  total: number | undefined;
  validator: string | undefined;
  hash: ReturnType<typeof sha256.create>;
  hasAnswered: boolean;
}

/** Bytes of an earlier call have to be hashed before the rest; that they can be read shows that they are still there. */
async function hashKept({ file, earlier }: Receiving, state: State, { signal, onProgress }: ReceiveOptions): Promise<void> {
  // What is longer was never kept for sure.
  await file.truncate(earlier.received);
  while (state.received < earlier.received) {
    signal?.throwIfAborted();
    const bytes = await file.read(state.received, Math.min(HASH_STEP, earlier.received - state.received));
    state.hash.update(bytes);
    state.received += bytes.length;
    onProgress?.(state.received, earlier.total);
  }
}

async function startAnew({ file, onKept }: Receiving, state: State): Promise<void> {
  Object.assign(state, { received: 0, kept: 0, total: undefined, validator: undefined, hash: sha256.create() });
  await onKept({ received: 0 });
  await file.truncate(0);
}

/** One connection; true when all bytes are there. */
async function connect(receiving: Receiving, state: State, options: ReceiveOptions, note: () => void): Promise<boolean> {
  const { url, expected } = receiving;
  if (state.received > 0 && state.validator === undefined && expected.sha256 === undefined) await startAnew(receiving, state);
  const whole = expected.byteLength ?? state.total;
  if (whole !== undefined && state.received > 0 && state.received >= whole) return true;
  const connection = watch(options);
  try {
    const response = await ask(url, state, options, connection);
    const asked = {
      from: state.received,
      ...(state.validator !== undefined && { validator: state.validator }),
      ...(state.total !== undefined && { total: state.total }),
    };
    const answer = readAnswer(asked, response);
    checkTotal(url, answer.total, expected.byteLength);
    if (answer.kind === "nothing") return true;
    if (answer.kind === "changed" || (answer.kind === "whole" && state.received > 0)) await startAnew(receiving, state);
    if (answer.kind === "changed") return false;
    await begin(receiving, state, answer);
    await copyBody(receiving, state, response, options, connection, note);
    return true;
  } catch (error) {
    throw connection.signal.aborted ? connection.signal.reason : error;
  } finally {
    // Whatever of the body was not read is not wanted any more.
    connection.drop();
  }
}

async function ask(url: string, state: State, options: ReceiveOptions, connection: Watch): Promise<Response> {
  const { received, validator } = state;
  const headers = new Headers(options.headers);
  // Asked for by range from the first byte, so that nothing packs the content on its way.
  headers.set("range", `bytes=${received}-`);
  // To another origin this header would need a permission that file servers seldom give; there the answer's version is compared instead.
  if (received > 0 && validator !== undefined && !isOtherOrigin(url)) headers.set("if-range", validator);
  const request = options.fetch ?? fetch;
  const response = await request(url, { headers, signal: connection.signal, cache: "no-store" }).catch((error: unknown) => {
    throw fetchError(url, error, state.hasAnswered);
  });
  connection.alive();
  state.hasAnswered = true;
  if (response.ok || response.status === 416) return response;
  throw statusError(response, response.statusText);
}

async function begin({ checkSpace, onKept, expected }: Receiving, state: State, answer: Answer): Promise<void> {
  const total = answer.total ?? expected.byteLength;
  if (total !== undefined) await checkSpace(state.received, total);
  state.total = total;
  state.validator = answer.validator ?? (state.received > 0 ? state.validator : undefined);
  await onKept(known(state));
  state.keptAt = performance.now();
}

const known = ({ kept, total, validator }: State): Download => ({
  received: kept,
  ...(total !== undefined && { total }),
  ...(validator !== undefined && { validator }),
});

async function copyBody(
  receiving: Receiving,
  state: State,
  response: Response,
  options: ReceiveOptions,
  connection: Watch,
  note: () => void,
): Promise<void> {
  const { file, url } = receiving;
  for await (const chunk of chunksOf(response)) {
    connection.alive();
    if (state.total !== undefined && state.received + chunk.length > state.total)
      throw new FrugalError(
        "FRUGAL_BAD_FILE",
        `${url}: more than the ${state.total} bytes announced came; check the server, or whether the file was replaced`,
        { byteLength: state.total },
      );
    await file.write(state.received, chunk);
    state.hash.update(chunk);
    state.received += chunk.length;
    note();
    await keepNow(receiving, state);
    options.onProgress?.(state.received, state.total);
  }
  if (state.total !== undefined && state.received < state.total)
    throw new RequestError(`the connection ended after ${state.received} of ${state.total} bytes`, { cause: undefined });
}

async function keepNow({ file, onKept }: Receiving, state: State): Promise<void> {
  if (state.received - state.kept < KEEP_BYTES && performance.now() - state.keptAt < KEEP_MILLISECONDS) return;
  const kept = await file.keep();
  state.keptAt = performance.now();
  if (kept <= state.kept) return;
  state.kept = kept;
  await onKept(known(state));
}

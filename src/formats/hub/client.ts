/** Talking to the hub: what its answers and failures mean. Also without its library, in browsers. */
import { FrugalError } from "../../tensor/error.ts";
import { readLimited, reasonOf, type RequestFailure, type RequestOptions, retrying, statusError, type Watch } from "../request.ts";

export interface HubOptions extends RequestOptions {
  /** "https://huggingface.co" where not said otherwise. */
  readonly endpoint?: string;
  /** Access token, "hf_…". */
  readonly token?: string;
}

/** Listings are a few kilobytes; what is larger is not one. */
const ANSWER_LIMIT = 64 << 20;

/** `fetch` that ends with the watch, and turns an answer that is not good into a `RequestError` that knows its status. */
export function watchedFetch(connection: Watch, request: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const response = await request(input, { ...init, signal: connection.signal });
    connection.alive();
    if (response.ok) return response;
    const text = new TextDecoder().decode(await readLimited(response, connection, 4096).catch(() => undefined));
    throw statusError(response, errorText(text));
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
export function boundedFetch(connection: Watch, request: typeof fetch = fetch): typeof fetch {
  const watched = watchedFetch(connection, request);
  return async (input, init) => {
    const response = await watched(input, init);
    const { status, headers } = response;
    const bytes = await readLimited(response, connection, ANSWER_LIMIT);
    if (bytes !== undefined) return new Response(bytes, { status, headers });
    throw new FrugalError("FRUGAL_NETWORK", `hub: ${response.url} answers with more than ${ANSWER_LIMIT} bytes; check the endpoint`, {
      limit: ANSWER_LIMIT,
    });
  };
}

/** `retrying` with the hub's errors. */
export const retryingHub = <T>(
  what: string,
  options: RequestOptions,
  attempt: () => Promise<T>,
  progressed: () => boolean = () => false,
): Promise<T> => retrying({ attempt, toError: (error, failure, tries) => hubError(what, error, failure, tries), progressed }, options);

/** What a failure means for the caller of the hub. */
export function hubError(what: string, error: unknown, { status }: RequestFailure, tries: number): FrugalError {
  const said = reasonOf(error);
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

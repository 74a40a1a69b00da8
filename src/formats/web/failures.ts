/** Failures of a download from any web server, in words that say what to do. */
import { FrugalError } from "../../tensor/error.ts";
import { reasonOf, RequestError, type RequestFailure } from "../request.ts";

/** Whether a page here must ask that server's permission (CORS). Where there is no page, nobody must. */
export function isOtherOrigin(url: string): boolean {
  const here = (globalThis as { location?: { origin?: string } }).location?.origin;
  return here !== undefined && new URL(url).origin !== here;
}

/** What a refusal by another origin leaves of an error: browsers do not say whether the server is away or does not permit it. */
const REFUSAL_RETRIES = 1;

/** Why `fetch` itself failed. A server that has answered before is one that permits it. */
export function fetchError(url: string, failure: unknown, hasAnswered: boolean): Error {
  if (!(failure instanceof TypeError) || hasAnswered || !isOtherOrigin(url)) return new RequestError(reasonOf(failure), { cause: failure });
  const { host } = new URL(url);
  return new RequestError(
    `${reasonOf(failure)}: ${host} cannot be reached, or it does not permit this page to read from it: that server must send CORS headers (Access-Control-Allow-Origin)`,
    { cause: failure, retries: REFUSAL_RETRIES },
  );
}

/** What a failure means for who asked for a URL. */
export function downloadError(url: string, error: unknown, { status }: RequestFailure, tries: number): FrugalError {
  const fields = { url, status, tries };
  const wrap = (code: "FRUGAL_NETWORK" | "FRUGAL_NOT_FOUND", remedy: string): FrugalError =>
    new FrugalError(code, `${url}: ${reasonOf(error)}; ${remedy}`, fields, { cause: error });
  if (status === 404 || status === 410) return wrap("FRUGAL_NOT_FOUND", "check the address");
  if (status === 401 || status === 403) return wrap("FRUGAL_NETWORK", "the server wants a permission: pass it in headers");
  if (status === 429) return wrap("FRUGAL_NETWORK", "too many requests, wait a while");
  return wrap("FRUGAL_NETWORK", `tried ${tries} times, check the connection and try again: what has come is kept`);
}

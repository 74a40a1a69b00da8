/** What a server's answer to "the bytes from here on" means: RFC 9110, chapters 13 to 15, as much of it as browsers show to a page. */
import { FrugalError } from "../../tensor/error.ts";
import { RequestError } from "../request.ts";

export interface Asked {
  /** The first byte that is wanted. */
  readonly from: number;
  /** What the server called the version that the bytes before are from; undefined where it is not to be compared. */
  readonly validator?: string;
  /** Bytes of the whole, where they are known. */
  readonly total?: number;
}

export interface Answer {
  /**
   * "body": the bytes from `from` on come. "whole": all bytes come, from the first. "nothing": all are here already.
   * "changed": it is another version, or the server has fewer bytes; ask again from the first byte.
   */
  readonly kind: "body" | "whole" | "nothing" | "changed";
  readonly total?: number;
  readonly validator?: string;
}

/** Reads an answer of status 2xx or 416. Throws `RequestError` where it fits no question, for such servers may do better next time. */
export function readAnswer(asked: Asked, { status, headers }: Pick<Response, "status" | "headers">): Answer {
  const [, first, size] = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "") ?? [];
  const rangeTotal = size === undefined || size === "*" ? undefined : Number(size);
  const validator = validatorOf(headers);
  const known = { ...(validator !== undefined && { validator }) };
  if (status === 416) {
    const isOther =
      asked.validator !== undefined && (headers.has("etag") || headers.has("last-modified")) && !isSame(asked.validator, headers);
    if (rangeTotal === asked.from && !isOther) return { kind: "nothing", total: rangeTotal };
    if (asked.from > 0) return { kind: "changed" };
    throw new RequestError("HTTP 416: the server has no bytes to send", { cause: undefined });
  }
  const length = lengthOf(headers);
  if (status === 200) return { kind: "whole", ...known, ...(length !== undefined && { total: length }) };
  if (status !== 206) throw new RequestError(`HTTP ${status} instead of the content`, { cause: undefined });
  // A server of another origin need not show where its part begins; then it is what was asked for.
  if (first !== undefined && Number(first) !== asked.from)
    throw new RequestError(`the server sent bytes from ${first} when asked for the rest from byte ${asked.from}`, { cause: undefined });
  const total = rangeTotal ?? (length === undefined ? undefined : asked.from + length);
  const isOther =
    (asked.validator !== undefined && !isSame(asked.validator, headers)) ||
    (asked.total !== undefined && total !== undefined && asked.total !== total);
  if (asked.from > 0 && isOther) return { kind: "changed" };
  return { kind: "body", ...known, ...(total !== undefined && { total }) };
}

/** A weak ETag promises the same meaning, not the same bytes, so it is none. */
function validatorOf(headers: Headers): string | undefined {
  const tag = headers.get("etag");
  if (tag?.startsWith('"') === true) return tag;
  return headers.get("last-modified") ?? undefined;
}

const isSame = (validator: string, headers: Headers): boolean =>
  (validator.startsWith('"') ? headers.get("etag") : headers.get("last-modified")) === validator;

/** Of the content; where it is sent packed, the length is that of the packed bytes and says nothing. */
function lengthOf(headers: Headers): number | undefined {
  const coding = headers.get("content-encoding");
  if (coding !== null && coding !== "identity") return undefined;
  const length = headers.get("content-length");
  return length !== null && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** Checks the size that a server announces against the one that is expected. */
export function checkTotal(url: string, total: number | undefined, expected: number | undefined): void {
  if (total === undefined || expected === undefined || total === expected) return;
  throw new FrugalError(
    "FRUGAL_BAD_FILE",
    `${url}: the server has ${total} bytes where ${expected} are expected; check the address, or whether the file was replaced`,
    { byteLength: total, expected },
  );
}

/**
 * The head of a file, read as far as parsing has come. Parsers are generators that yield how many bytes they lack, so they are
 * plain sequential code, need no guess of the header's size, and never see tensor data worth mentioning.
 */
import { FrugalError } from "../../tensor/error.ts";
import type { ByteSource } from "../../tensor/source.ts";

export interface Window {
  readonly name: string;
  /** Bytes of the whole file: no length in the header may point beyond. */
  readonly byteLength: number;
  /** A piece of the file, from `start` on. */
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView;
  start: number;
  /** The next byte to parse, counted from `start`. */
  position: number;
}

/** Yields the number of bytes that must be there from the position on. */
export type Parse<T> = Generator<number, T, void>;

const FIRST_READ = 1 << 20;
/** Far above any real header (Gemma's, with 262,144 tokens, has 6.2 MiB). */
const HEADER_LIMIT = 1 << 30;

/** A header above the first megabyte is mostly a vocabulary of 4 to 16 MiB: few large reads cost least. */
const growth = (length: number): number => Math.min(8 * length, 16 << 20);

/** Runs a parser over a source, reading on from its position whenever it lacks bytes; what it has passed is dropped. */
export async function parseHead<T>(source: ByteSource, parse: (window: Window) => Parse<T>, signal?: AbortSignal): Promise<T> {
  const bytes = new Uint8Array(0);
  const window: Window = {
    name: source.name,
    byteLength: source.byteLength,
    bytes,
    view: new DataView(bytes.buffer),
    start: 0,
    position: 0,
  };
  await moveOn(window, source, FIRST_READ);
  const parser = parse(window);
  for (let step = parser.next(); ; step = parser.next()) {
    signal?.throwIfAborted();
    if (step.done) return step.value;
    await moveOn(window, source, Math.max(step.value, growth(window.bytes.length)));
  }
}

/** Reads `length` bytes, or what is left, from the position on. Bytes not parsed yet are read again: cheaper than joining two buffers. */
async function moveOn(window: Window, source: ByteSource, length: number): Promise<void> {
  const start = placeOf(window);
  const read = await source.read(start, Math.min(length, window.byteLength - start));
  // Typed arrays are made over the buffer, so it must hold these bytes only.
  const whole = read.buffer instanceof ArrayBuffer && read.buffer.byteLength === read.length;
  window.bytes = whole ? (read as Uint8Array<ArrayBuffer>) : new Uint8Array(read);
  window.view = new DataView(window.bytes.buffer);
  window.start = start;
  window.position = 0;
}

/** The position as an offset in the file. */
export const placeOf = (window: Window): number => window.start + window.position;

export const lacks = (window: Window, length: number): boolean => window.position + length > window.bytes.length;

/** Makes sure that `length` bytes are there; `what` names them where the file ends before. */
export function* need(window: Window, length: number, what: string): Parse<void> {
  if (!lacks(window, length)) return;
  checkFits(window, length, what);
  if (placeOf(window) + length > HEADER_LIMIT)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `${window.name}: its header has more than ${HEADER_LIMIT} bytes; no model's has, so it is not opened`,
      {},
    );
  yield length;
}

/** Refuses a length that the rest of the file cannot hold, before anything of that length is allocated. */
export function checkFits(window: Window, length: number, what: string): void {
  const left = window.byteLength - placeOf(window);
  if (length > left)
    throw badHeader(
      window,
      window.position,
      `${what} needs ${length} bytes but only ${left} are left in the file`,
      "it is truncated or corrupt, fetch it again",
    );
}

/** FRUGAL_BAD_FILE at a place of the header. */
export const badHeader = (
  window: { readonly name: string },
  offset: number,
  wrong: string,
  remedy = "the file is corrupt, fetch or convert it again",
): FrugalError => new FrugalError("FRUGAL_BAD_FILE", `${window.name}: at byte ${offset}, ${wrong}; ${remedy}`, { offset });

export const takeU32 = (window: Window): number => {
  const value = window.view.getUint32(window.position, true);
  window.position += 4;
  return value;
};

/** A 64-bit count or length: no file is 2^53 bytes long, so anything above is refused. */
export function takeLength(window: Window, what: string): number {
  const value = window.view.getUint32(window.position, true) + window.view.getUint32(window.position + 4, true) * 2 ** 32;
  if (value > Number.MAX_SAFE_INTEGER) throw badHeader(window, placeOf(window), `${what} is ${value}, more than any file holds`);
  window.position += 8;
  return value;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function* takeString(window: Window, what: string, limit: number = Number.MAX_SAFE_INTEGER): Parse<string> {
  yield* need(window, 8, `the length of ${what}`);
  const at = placeOf(window);
  const length = takeLength(window, `the length of ${what}`);
  if (length > limit) throw badHeader(window, at, `${what} has ${length} bytes, more than the ${limit} allowed`);
  yield* need(window, length, what);
  const text = decoder.decode(window.bytes.subarray(window.position, window.position + length));
  window.position += length;
  return text;
}

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
  /** What has been read, from the file's first byte. */
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView;
  position: number;
}

/** Yields the number of bytes that must be there from the position on. */
export type Parse<T> = Generator<number, T, void>;

const FIRST_READ = 1 << 20;
/** Far above any real header (Gemma's, with 262,144 tokens, has 6.2 MiB). */
const HEADER_LIMIT = 1 << 30;

/** Runs a parser over a source, reading more, twice as much each time, whenever it lacks bytes. */
export async function parseHead<T>(source: ByteSource, parse: (window: Window) => Parse<T>, signal?: AbortSignal): Promise<T> {
  const bytes = new Uint8Array(0);
  const window: Window = { name: source.name, byteLength: source.byteLength, bytes, view: new DataView(bytes.buffer), position: 0 };
  await extend(window, source, FIRST_READ);
  const parser = parse(window);
  for (let step = parser.next(); ; step = parser.next()) {
    signal?.throwIfAborted();
    if (step.done) return step.value;
    await extend(window, source, Math.max(window.position + step.value, 2 * window.bytes.length));
  }
}

async function extend(window: Window, source: ByteSource, wanted: number): Promise<void> {
  const end = Math.min(wanted, window.byteLength, HEADER_LIMIT);
  const start = window.bytes.length;
  const more = await source.read(start, end - start);
  if (start === 0 && more.byteOffset === 0 && more.buffer instanceof ArrayBuffer && more.buffer.byteLength === more.length) {
    window.bytes = more as Uint8Array<ArrayBuffer>;
  } else {
    const bytes = new Uint8Array(end);
    bytes.set(window.bytes);
    bytes.set(more, start);
    window.bytes = bytes;
  }
  window.view = new DataView(window.bytes.buffer);
}

export const lacks = (window: Window, length: number): boolean => window.position + length > window.bytes.length;

/** Makes sure that `length` bytes are there; `what` names them where the file ends before. */
export function* need(window: Window, length: number, what: string): Parse<void> {
  if (!lacks(window, length)) return;
  checkFits(window, length, what);
  if (window.position + length > HEADER_LIMIT)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `${window.name}: its header has more than ${HEADER_LIMIT} bytes; it is not a model's`, {});
  yield length;
}

/** Refuses a length that the rest of the file cannot hold, before anything of that length is allocated. */
export function checkFits(window: Window, length: number, what: string): void {
  const left = window.byteLength - window.position;
  if (length > left) throw badHeader(window, window.position, `${what} needs ${length} bytes but only ${left} are left in the file`, "it is truncated or corrupt, fetch it again");
}

/** FRUGAL_BAD_FILE at a place of the header. */
export const badHeader = (window: { readonly name: string }, offset: number, wrong: string, remedy = "the file is corrupt, fetch or convert it again"): FrugalError =>
  new FrugalError("FRUGAL_BAD_FILE", `${window.name}: at byte ${offset}, ${wrong}; ${remedy}`, { offset });

export const takeU32 = (window: Window): number => {
  const value = window.view.getUint32(window.position, true);
  window.position += 4;
  return value;
};

/** A 64-bit count or length: no file is 2^53 bytes long, so anything above is refused. */
export function takeLength(window: Window, what: string): number {
  const value = window.view.getUint32(window.position, true) + window.view.getUint32(window.position + 4, true) * 2 ** 32;
  if (value > Number.MAX_SAFE_INTEGER) throw badHeader(window, window.position, `${what} is ${value}, more than any file holds`);
  window.position += 8;
  return value;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function* takeString(window: Window, what: string, limit: number = Number.MAX_SAFE_INTEGER): Parse<string> {
  yield* need(window, 8, `the length of ${what}`);
  const at = window.position;
  const length = takeLength(window, `the length of ${what}`);
  if (length > limit) throw badHeader(window, at, `${what} has ${length} bytes, more than the ${limit} allowed`);
  yield* need(window, length, what);
  const text = decoder.decode(window.bytes.subarray(window.position, window.position + length));
  window.position += length;
  return text;
}

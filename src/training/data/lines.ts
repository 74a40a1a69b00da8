/** A file as lines, read in pieces: no more than one line and one piece are in memory. */
import type { ByteSource } from "../../tensor/source.ts";

/** A line's bytes without its end; or, where it is longer than allowed, how long it is. */
export type Line = { readonly number: number } & ({ readonly bytes: Uint8Array } | { readonly length: number });

const newline = 0x0a;
const carriageReturn = 0x0d;

/** Lines end with \n or \r\n; the last may end with the file. A byte order mark is left out. 1 is the first line. */
export async function* readLines(source: ByteSource, longest: number, pieceBytes: number = 1 << 20): AsyncGenerator<Line> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let number = 1;
  const take = (): Line => {
    const line: Line = length > longest ? { number, length } : { number, bytes: joined(parts, length, number === 1) };
    parts = [];
    length = 0;
    number++;
    return line;
  };
  const keep = (bytes: Uint8Array): void => {
    length += bytes.length;
    if (length <= longest) parts.push(bytes);
    else parts = [];
  };
  for (let offset = 0; offset < source.byteLength; offset += pieceBytes) {
    const piece = await source.read(offset, Math.min(pieceBytes, source.byteLength - offset));
    let start = 0;
    for (let end = piece.indexOf(newline); end >= 0; end = piece.indexOf(newline, start)) {
      keep(piece.subarray(start, end));
      yield take();
      start = end + 1;
    }
    if (start < piece.length) keep(piece.subarray(start));
  }
  if (length > 0) yield take();
}

function joined(parts: readonly Uint8Array[], length: number, isFirst: boolean): Uint8Array {
  let all = parts[0] ?? new Uint8Array();
  if (parts.length > 1) {
    all = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
  }
  if (isFirst && all[0] === 0xef && all[1] === 0xbb && all[2] === 0xbf) all = all.subarray(3);
  return all.at(-1) === carriageReturn ? all.subarray(0, -1) : all;
}

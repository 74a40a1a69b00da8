/** Text to UTF-8 bytes with the place of every character, in buffers that are used again for each word. */

export interface Utf8Buffer {
  bytes: Uint8Array;
  /** `starts[i]` is the first byte of character `i`; `starts[characters]` is the end. */
  starts: Int32Array;
  /** Characters (code points) and bytes of the last text written. */
  characters: number;
  length: number;
}

export const utf8Buffer = (): Utf8Buffer => ({ bytes: new Uint8Array(768), starts: new Int32Array(257), characters: 0, length: 0 });

/** U+2581, which SentencePiece writes for a space. */
export const spaceMark = "\u2581";

/** Writes well-formed `text`; where `markSpaces` is set, spaces become U+2581. */
export function writeUtf8(buffer: Utf8Buffer, text: string, markSpaces = false): void {
  if (buffer.bytes.length < text.length * 3) buffer.bytes = new Uint8Array(text.length * 3);
  if (buffer.starts.length < text.length + 1) buffer.starts = new Int32Array(text.length + 1);
  const { bytes, starts } = buffer;
  let at = 0;
  let character = 0;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    starts[character++] = at;
    if (code === 0x20 && markSpaces) code = 0x2581;
    if (code < 0x80) {
      bytes[at++] = code;
    } else if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
      bytes[at++] = 0x80 | (code & 63);
    } else if (code >= 0xd800 && code < 0xdc00 && i + 1 < text.length) {
      const point = 0x10000 + ((code - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00);
      bytes[at++] = 0xf0 | (point >> 18);
      bytes[at++] = 0x80 | ((point >> 12) & 63);
      bytes[at++] = 0x80 | ((point >> 6) & 63);
      bytes[at++] = 0x80 | (point & 63);
    } else {
      bytes[at++] = 0xe0 | (code >> 12);
      bytes[at++] = 0x80 | ((code >> 6) & 63);
      bytes[at++] = 0x80 | (code & 63);
    }
  }
  starts[character] = at;
  buffer.characters = character;
  buffer.length = at;
}

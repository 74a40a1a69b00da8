/** Files of a small ZIP archive, for data sets that come in one. (PKWARE's APPNOTE: the directory at the end, then each file where it says.) */
import { inflateRawSync } from "node:zlib";

const endSignature = 0x06054b50;
const entrySignature = 0x02014b50;
const endLength = 22;

/** The file of this name; throws where the archive has none. */
export function unzip(archive: Buffer, name: string): Buffer {
  const end = archive.lastIndexOf(Buffer.from(Uint32Array.of(endSignature).buffer));
  if (end < 0 || end + endLength > archive.length) throw new Error(`${name}: the archive has no directory`);
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0 && archive.readUInt32LE(at) === entrySignature; left--) {
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => archive.readUInt16LE(at + offset)) as [
      number,
      number,
      number,
    ];
    if (archive.toString("utf8", at + 46, at + 46 + nameLength) === name) return content(archive, at);
    at += 46 + nameLength + extraLength + commentLength;
  }
  throw new Error(`${name}: is not in the archive`);
}

function content(archive: Buffer, entry: number): Buffer {
  const header = archive.readUInt32LE(entry + 42);
  const start = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28);
  const bytes = archive.subarray(start, start + archive.readUInt32LE(entry + 20));
  const isStored = archive.readUInt16LE(entry + 10) === 0;
  return isStored ? bytes : inflateRawSync(bytes, { maxOutputLength: archive.readUInt32LE(entry + 24) });
}

/** A place that forgets: for browsers that keep nothing (private windows, pages without HTTPS), and for those who want nothing kept. */
import { bytesSource, endsEarly } from "../../tensor/source.ts";
import { full, type GrowingFile, type Place } from "./place.ts";
import { type Locks, locksHere } from "./locks.ts";

/** What a 32-bit WebAssembly memory can hold at most; a larger model could not be used. */
const MOST = 2 ** 32;

/** @param quota bytes of all files together */
export function memoryPlace(quota: number = MOST, locks: Locks = locksHere()): Place {
  const files = new Map<string, Uint8Array>();
  const used = (): number => Array.from(files.values(), ({ length }) => length).reduce((sum, length) => sum + length, 0);
  return {
    kind: "none",
    names: async () => [...files.keys()],
    size: async (name) => files.get(name)?.length,
    readText: async (name) => (files.has(name) ? new TextDecoder().decode(files.get(name)) : undefined),
    writeText: async (name, text) => void files.set(name, new TextEncoder().encode(text)),
    remove: async (name) => void files.delete(name),
    grow: async (name) => growing(files, name, () => quota - used()),
    source: async (name, label) => (files.has(name) ? bytesSource(label, files.get(name)!) : undefined),
    space: async () => ({ usage: used(), quota }),
    lock: locks,
  };
}

/** Room is doubled as bytes come, so that each is copied a constant number of times. */
function growing(files: Map<string, Uint8Array>, name: string, left: () => number): GrowingFile {
  const before = files.get(name) ?? new Uint8Array(0);
  let room = before;
  let { length } = before;
  const show = (): number => {
    files.set(name, room.subarray(0, length));
    return length;
  };
  show();
  return {
    byteLength: length,
    async read(offset, count) {
      if (offset + count > length) throw endsEarly(name, offset, count, length);
      return room.slice(offset, offset + count);
    },
    async write(offset, bytes) {
      const end = offset + bytes.length;
      if (end - length > left()) throw full(name);
      if (end > room.length) {
        const larger = new Uint8Array(Math.max(end, Math.min(2 * room.length, MOST)));
        larger.set(room.subarray(0, length));
        room = larger;
      }
      room.set(bytes, offset);
      length = Math.max(length, end);
      show();
    },
    async truncate(byteLength) {
      length = Math.min(length, byteLength);
      show();
    },
    reserve: async (byteLength) => Math.min(byteLength, length + left()),
    keep: async () => length,
    async close() {
      if (room.length > length) room = room.slice(0, length);
      return show();
    },
  };
}

/** A directory for pages of texts that had to make room for others. */
import { joinPath, makeDirectory, openGrowing, readWhole, remove } from "../formats/files.ts";

export interface SpillStore {
  /** Returns the name under which the bytes can be read. */
  write(bytes: Uint8Array): Promise<string>;
  read(name: string): Promise<Uint8Array>;
  remove(name: string): Promise<void>;
  dispose(): Promise<void>;
}

/** Files are named by this process and a number, so several processes may share the directory. */
export function createSpillStore(directory: string): SpillStore {
  const own = joinPath(directory, `frugal-${globalThis.process?.pid ?? 0}-${Math.random().toString(36).slice(2, 10)}`);
  const sizes = new Map<string, number>();
  let made: Promise<void> | undefined;
  let next = 0;
  return {
    async write(bytes) {
      await (made ??= makeDirectory(own));
      const name = joinPath(own, `${next++}.pages`);
      sizes.set(name, bytes.length);
      // Not synced: what is lost with the machine is computed again.
      const file = await openGrowing(name);
      try {
        await file.writeAt(0, bytes);
      } finally {
        await file.close();
      }
      return name;
    },
    read: (name) => readWhole(name, sizes.get(name) ?? 0),
    async remove(name) {
      sizes.delete(name);
      await remove(name);
    },
    async dispose() {
      if (made !== undefined) await remove(own).catch(() => undefined);
    },
  };
}

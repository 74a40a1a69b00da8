/** One process at a time writes a folder: a file in it names the process, and a lock whose process is gone is taken over. */
import { createNew, isRunning, joinPath, type ProcessIdentity, readWhole, remove, replace, thisProcess } from "../formats/files.ts";
import { isJsonObject } from "../formats/json.ts";
import { FrugalError } from "../tensor/error.ts";

export interface FolderLock {
  release(): Promise<void>;
}

/** @throws FRUGAL_BAD_ARGUMENT naming the process that holds the folder. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = joinPath(folder, "training.lock");
  const own = JSON.stringify(await thisProcess());
  // Twice or more only where others come and go at the same time.
  for (let attempt = 0; attempt < 10; attempt++) {
    if (await createNew(path, `${own}\n`)) return { release: () => remove(path) };
    const text = await contentOf(path);
    if (text === undefined) continue;
    const holder = holderOf(text);
    if (holder !== undefined && (await isRunning(holder))) throw held(folder, path, holder);
    await takeAway(path, text);
  }
  throw held(folder, path, undefined);
}

const held = (folder: string, path: string, holder: ProcessIdentity | undefined): FrugalError =>
  new FrugalError(
    "FRUGAL_BAD_ARGUMENT",
    `${folder}: is being written by ${holder === undefined ? "another training" : `the training in process ${holder.pid}`}; wait for it or write elsewhere (the lock is ${path})`,
    { folder, pid: holder?.pid },
  );

const contentOf = (path: string): Promise<string | undefined> =>
  readWhole(path, 4096).then(
    (bytes) => new TextDecoder().decode(bytes),
    (error: unknown) => {
      if (error instanceof FrugalError && error.code === "FRUGAL_NOT_FOUND") return undefined;
      throw error;
    },
  );

function holderOf(text: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isJsonObject(value) || !Number.isSafeInteger(value["pid"])) return undefined;
    const { pid, began } = value;
    return { pid: pid as number, ...(typeof began === "string" ? { began } : {}) };
  } catch {
    return undefined;
  }
}

/** By renaming, which one of several does: whoever took a lock that was new by then puts it back. */
async function takeAway(path: string, stale: string): Promise<void> {
  const aside = `${path}.${globalThis.crypto.randomUUID().slice(0, 8)}`;
  try {
    await replace(path, aside);
  } catch (error) {
    if (error instanceof FrugalError && error.code === "FRUGAL_NOT_FOUND") return;
    throw error;
  }
  const taken = await contentOf(aside);
  if (taken !== undefined && taken !== stale) await createNew(path, taken);
  await remove(aside);
}

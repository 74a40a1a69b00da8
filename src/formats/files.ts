/**
 * The one module that touches the file system: everything above goes through it, so the rest of `src/` runs in a browser.
 * Node's modules are asked for at the call and not at import, so a bundle for the browser may contain this file.
 */
import { FrugalError } from "../tensor/error.ts";
import { type ByteSource, endsEarly } from "../tensor/source.ts";
import type { ByteSink } from "./sink.ts";

type Promises = typeof import("node:fs/promises");
type FileHandle = import("node:fs/promises").FileHandle;

const builtin = <T>(name: string): T => {
  const found: unknown = globalThis.process?.getBuiltinModule?.(name);
  if (found !== undefined) return found as T;
  throw new FrugalError(
    "FRUGAL_UNSUPPORTED",
    `files: there is no file system here (${name} is missing); pass the bytes as a ByteSource or a ByteSink`,
    { module: name },
  );
};
const promises = (): Promises => builtin("node:fs/promises");
const paths = (): typeof import("node:path") => builtin("node:path");

/** Joins parts of a path the way this machine writes them. */
export const joinPath = (...parts: string[]): string => paths().join(...parts);
export const directoryOf = (path: string): string => paths().dirname(path);
/** The path that a URL like that of a module names. */
export const pathOf = (url: URL): string => builtin<typeof import("node:url")>("node:url").fileURLToPath(url);

/** The user's own directory, where the default cache lies. */
export const homeDirectory = (): string => builtin<typeof import("node:os")>("node:os").homedir();

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");

/** A system error as a typed one that names the path and the way out. Errors that are typed already pass through. */
function fileError(error: unknown, path: string, doing: string): unknown {
  if (error instanceof FrugalError) return error;
  const system = codeOf(error);
  const wrap = (code: ConstructorParameters<typeof FrugalError>[0], what: string): FrugalError =>
    new FrugalError(code, `${path}: ${what}`, { path, system }, { cause: error });
  if (system === "ENOENT" || system === "ENOTDIR") return wrap("FRUGAL_NOT_FOUND", `cannot ${doing}, it does not exist; check the path`);
  if (system === "ENOSPC" || system === "EDQUOT" || system === "EFBIG")
    return wrap("FRUGAL_NO_SPACE", `cannot ${doing}, no disk space is left (${system}); free some or write elsewhere`);
  if (system === "EACCES" || system === "EPERM" || system === "EROFS")
    return wrap("FRUGAL_BAD_ARGUMENT", `cannot ${doing}, not permitted (${system}); change its permissions or use another path`);
  if (system === "ERR_INVALID_ARG_VALUE" || system === "ENAMETOOLONG" || system === "ELOOP")
    return wrap("FRUGAL_BAD_ARGUMENT", `cannot ${doing}, it is not a possible path (${system}); check it`);
  if (system === "EISDIR") return wrap("FRUGAL_BAD_ARGUMENT", `cannot ${doing}, it is a directory; name a file`);
  if (system === "EMFILE" || system === "ENFILE")
    return wrap("FRUGAL_BAD_ARGUMENT", `cannot ${doing}, too many files are open (${system}); close models that are no longer used`);
  if (system === "") return error;
  return wrap("FRUGAL_BAD_FILE", `cannot ${doing}, the system says ${system}; check the disk`);
}

async function naming<T>(path: string, doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, path, doing);
  }
}

/** One system call reads less than 2 GiB. */
const READ_AT_ONCE = 1 << 30;

/** Opens a file for reading at any place. Rejects with FRUGAL_NOT_FOUND, or FRUGAL_BAD_ARGUMENT for a directory. */
export async function openFile(path: string): Promise<ByteSource> {
  // Asked before opening: to open a pipe would wait for its writer.
  const kind = await kindOf(path);
  if (kind === "directory" || kind === "other") {
    const what = kind === "directory" ? "is a directory" : "is not a regular file";
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `${path}: ${what}; name a file`, { path });
  }
  const handle = await naming(path, "open it", () => promises().open(path, "r"));
  const byteLength = (await handle.stat()).size;
  let closed = false;
  return {
    name: path,
    byteLength,
    path,
    async read(offset, length) {
      if (closed) throw new FrugalError("FRUGAL_DISPOSED", `${path}: read after close; open it again`, { path });
      if (offset < 0 || length < 0 || offset + length > byteLength) throw endsEarly(path, offset, length, byteLength);
      const bytes = allocate(path, length);
      await naming(path, "read it", () => readFully(handle, bytes, offset, path, byteLength));
      return bytes;
    },
    async close() {
      if (closed) return;
      closed = true;
      await handle.close();
    },
  };
}

function allocate(path: string, length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new FrugalError("FRUGAL_OUT_OF_MEMORY", `${path}: no memory for ${length} bytes at once; read it in parts`, { length });
  }
}

async function readFully(handle: FileHandle, bytes: Uint8Array, offset: number, path: string, byteLength: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(bytes.length - done, READ_AT_ONCE), offset + done);
    if (bytesRead === 0) throw endsEarly(path, offset, bytes.length, Math.min(byteLength, offset + done));
    done += bytesRead;
  }
}

/** A whole file, refused above `limit` bytes. */
export async function readWhole(path: string, limit: number): Promise<Uint8Array> {
  const source = await openFile(path);
  try {
    if (source.byteLength > limit)
      throw new FrugalError(
        "FRUGAL_BAD_FILE",
        `${path}: has ${source.byteLength} bytes, more than the ${limit} allowed here; check that it is the right file`,
        {
          byteLength: source.byteLength,
          limit,
        },
      );
    return await source.read(0, source.byteLength);
  } finally {
    await source.close();
  }
}

export interface Entry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** Names in a directory, sorted; links count as what they lead to. */
export async function listDirectory(path: string): Promise<readonly Entry[]> {
  const names = await naming(path, "list it", () => promises().readdir(path));
  const entries = await Promise.all(
    names.sort().map(async (name) => ({ name, isDirectory: (await kindOf(joinPath(path, name))) === "directory" })),
  );
  return entries;
}

async function statusOf(path: string): Promise<import("node:fs").Stats | undefined> {
  try {
    return await promises().stat(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
    throw fileError(error, path, "look at it");
  }
}

/** What lies at a path, links followed. */
export async function kindOf(path: string): Promise<"file" | "directory" | "other" | "missing"> {
  const status = await statusOf(path);
  if (status === undefined) return "missing";
  return status.isFile() ? "file" : status.isDirectory() ? "directory" : "other";
}

/** A path without links; as it is where nothing lies there. */
export const realPath = (path: string): Promise<string> =>
  promises()
    .realpath(path)
    .catch(() => paths().resolve(path));

export const exists = async (path: string): Promise<boolean> => (await kindOf(path)) !== "missing";

/** Bytes of a file; undefined where there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  const status = await statusOf(path);
  return status?.isFile() === true ? status.size : undefined;
}

export async function makeDirectory(path: string): Promise<void> {
  await naming(path, "create the directory", () => promises().mkdir(path, { recursive: true }));
}

/** Removes a file or a directory with all in it; nothing happens where there is none. */
export async function remove(path: string): Promise<void> {
  await naming(path, "remove it", () => promises().rm(path, { recursive: true, force: true }));
}

/** Moves a file over another in one step. */
export async function replace(from: string, to: string): Promise<void> {
  await naming(from, `rename it to ${to}`, () => promises().rename(from, to));
  await syncDirectory(directoryOf(to));
}

/** Bytes that may still be written where `directory` lies. */
export async function freeSpace(directory: string): Promise<number> {
  const status = await naming(directory, "ask for its free space", () => promises().statfs(directory));
  return status.bavail * status.bsize;
}

/** Makes `path` another name of `target`, by a relative link, or by a second copy where links are not permitted. */
export async function link(target: string, path: string): Promise<void> {
  const temporary = temporaryBeside(path);
  try {
    await promises().symlink(paths().relative(directoryOf(path), target), temporary);
  } catch {
    await naming(path, "copy it", () => promises().copyFile(target, temporary));
  }
  await replace(temporary, path);
}

const temporaryBeside = (path: string): string => `${path}.${globalThis.crypto.randomUUID().slice(0, 8)}.part`;

/** So that a rename survives a power cut. Some systems cannot sync a directory; then nothing is lost but that promise. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await promises()
    .open(path, "r")
    .catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/**
 * A sink that writes beside `path` and takes its name only at `finish`, synced: whoever reads `path` sees the old file or the
 * whole new one. After an error or `abort` the old file is as it was and nothing is left behind. What a link names is replaced, not the
 * link; a device or a pipe is written to. Errors: FRUGAL_NO_SPACE.
 */
export async function createFile(path: string): Promise<ByteSink> {
  if ((await kindOf(path)) === "other") return openDevice(path);
  const place = await promises()
    .realpath(path)
    .catch(() => path);
  const temporary = temporaryBeside(place);
  const handle = await naming(path, "create it", () => promises().open(temporary, "wx"));
  let open = true;
  const drop = async (): Promise<void> => {
    if (!open) return;
    open = false;
    await handle.close().catch(() => undefined);
    await promises().rm(temporary, { force: true });
  };
  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await naming(path, "write it", work);
    } catch (error) {
      await drop();
      throw error;
    }
  };
  return {
    name: path,
    write: (bytes) => guarded(() => writeFully(handle, bytes, undefined)),
    finish: () =>
      guarded(async () => {
        await handle.sync();
        await handle.close();
        await promises().rename(temporary, place);
        open = false;
        await syncDirectory(directoryOf(place));
      }),
    abort: drop,
  };
}

/** What is neither a file nor a directory must not be replaced by a file. */
async function openDevice(path: string): Promise<ByteSink> {
  const handle = await naming(path, "open it", () => promises().open(path, "w"));
  return {
    name: path,
    write: (bytes) => naming(path, "write it", () => writeFully(handle, bytes, undefined)),
    finish: () => naming(path, "write it", () => handle.close()),
    abort: () => handle.close(),
  };
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number | undefined): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const place = position === undefined ? null : position + done;
    done += (await handle.write(bytes, done, Math.min(bytes.length - done, READ_AT_ONCE), place)).bytesWritten;
  }
}

/** Writes a whole file atomically; see `createFile`. */
export async function writeWhole(path: string, bytes: Uint8Array | string): Promise<void> {
  const sink = await createFile(path);
  await sink.write(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
  await sink.finish();
}

/** A file that grows in place and keeps what it has when the process dies: a download that can be taken up again. */
export interface GrowingFile {
  /** Bytes it had when opened. */
  readonly byteLength: number;
  /** Writes at a given place, so two writers of the same content do no harm. */
  writeAt(offset: number, bytes: Uint8Array): Promise<void>;
  /** Makes what was written survive a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a file to go on writing it, or a new one. */
export async function openGrowing(path: string): Promise<GrowingFile> {
  const { O_RDWR, O_CREAT } = promises().constants;
  const handle = await naming(path, "open it", () => promises().open(path, O_RDWR | O_CREAT, 0o644));
  return {
    byteLength: (await handle.stat()).size,
    writeAt: (offset, bytes) => naming(path, "write it", () => writeFully(handle, bytes, offset)),
    sync: () => naming(path, "write it", () => handle.sync()),
    async close() {
      await naming(path, "write it", () => handle.sync()).finally(() => handle.close());
    },
  };
}

/** Writes a new file in one step; false where there is one already, which stays as it is. */
export async function createNew(path: string, text: string): Promise<boolean> {
  const temporary = temporaryBeside(path);
  try {
    await naming(path, "create it", () => promises().writeFile(temporary, text, { flag: "wx" }));
    await promises()
      .link(temporary, path)
      // Some file systems have no second names; there the file is empty for a moment.
      .catch((error: unknown) => {
        if (codeOf(error) === "EEXIST") throw error;
        return promises().writeFile(path, text, { flag: "wx" });
      });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw fileError(error, path, "create it");
  } finally {
    await promises().rm(temporary, { force: true });
  }
}

/** A running process: its id, and where the system tells it, when it began, for ids are used again. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly began?: string;
}

export async function thisProcess(): Promise<ProcessIdentity> {
  const pid = globalThis.process.pid;
  const began = await beginningOf(pid);
  return { pid, ...(began === undefined ? {} : { began }) };
}

export async function isRunning({ pid, began }: ProcessIdentity): Promise<boolean> {
  try {
    globalThis.process.kill(pid, 0);
  } catch (error) {
    // It is another user's, and it is there.
    if (codeOf(error) !== "EPERM") return false;
  }
  const now = await beginningOf(pid);
  return began === undefined || now === undefined || now === began;
}

/** Field 22 of Linux's /proc/PID/stat, after the name in brackets, which may hold anything: ticks since the machine began. */
async function beginningOf(pid: number): Promise<string | undefined> {
  const text = await promises()
    .readFile(`/proc/${pid}/stat`, "utf8")
    .catch(() => "");
  return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}

/** The hash of `prefix` followed by the file's content, as lower-case hexadecimal digits. */
export async function hashFile(path: string, algorithm: "sha256" | "sha1", prefix = "", signal?: AbortSignal): Promise<string> {
  const hash = builtin<typeof import("node:crypto")>("node:crypto").createHash(algorithm).update(prefix);
  const source = await openFile(path);
  try {
    const step = 4 << 20;
    for (let offset = 0; offset < source.byteLength; offset += step) {
      signal?.throwIfAborted();
      hash.update(await source.read(offset, Math.min(step, source.byteLength - offset)));
    }
    return hash.digest("hex");
  } finally {
    await source.close();
  }
}

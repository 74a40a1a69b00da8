/** Files beside each other, to be read: a directory of this machine, or sources by name where there is no file system. */
import { FrugalError } from "../tensor/error.ts";
import { bytesSource, type ByteSource } from "../tensor/source.ts";
import { exists, joinPath, kindOf, listDirectory, openFile } from "./files.ts";
import { type JsonObject, parseJsonObject } from "./json.ts";

/** The files of a model or an adapter by their names, such as "config.json" or "1_Pooling/config.json". */
export interface ModelFiles {
  /** For people: of a lone file, its name. */
  readonly name: string;
  readonly files: ReadonlyMap<string, ByteSource>;
}

/** Whether these are files by name, whatever they hold. */
export const isFiles = (source: unknown): source is ModelFiles =>
  typeof source === "object" && source !== null && "files" in source && source.files instanceof Map;

/** Whole files in memory by their names, text as text: an adapter as `tune` gives it. */
export type FileContents = Readonly<Record<string, string | Uint8Array>>;

/** Contents as sources. Throws FRUGAL_BAD_ARGUMENT for what is neither text nor bytes. */
export function filesOf(name: string, contents: FileContents): ModelFiles {
  const files = Object.entries(contents).map(([file, content]: [string, unknown]): [string, ByteSource] => {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    if (bytes instanceof Uint8Array) return [file, bytesSource(`${name}/${file}`, bytes)];
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `${name}: the file ${JSON.stringify(file)} is neither text nor a Uint8Array; give its bytes`,
      {
        file,
      },
    );
  });
  return { name, files: new Map(files) };
}

export interface Folder {
  /** For messages: a path, or what `ModelFiles` are called. */
  readonly name: string;
  /** What lies there. Files without a file system are a directory. */
  kind(): Promise<"file" | "directory" | "other" | "missing">;
  /** How messages call a file in it. */
  at(file: string): string;
  has(file: string): Promise<boolean>;
  /** Rejects with FRUGAL_NOT_FOUND. */
  open(file: string): Promise<ByteSource>;
  /** Names in it, sorted. */
  list(): Promise<readonly string[]>;
}

/** Sources stay open when what was opened of them is closed: they belong to whoever gave them. */
export const folderOf = (source: string | ModelFiles): Folder =>
  typeof source === "string" ? directoryFolder(source) : filesFolder(source);

function directoryFolder(path: string): Folder {
  const at = (file: string): string => joinPath(path, file);
  return {
    name: path,
    kind: () => kindOf(path),
    at,
    has: (file) => exists(at(file)),
    open: (file) => openFile(at(file)),
    list: async () => (await listDirectory(path)).map(({ name }) => name),
  };
}

function filesFolder({ name, files }: ModelFiles): Folder {
  return {
    name,
    kind: async () => "directory",
    at: (file) => `${name}/${file}`,
    has: async (file) => files.has(file),
    async open(file) {
      const source = files.get(file);
      if (source !== undefined) return borrowed(source);
      throw new FrugalError("FRUGAL_NOT_FOUND", `${name}/${file}: is not among the files that were given; give it too`, { file });
    },
    list: async () => [...files.keys()].toSorted(),
  };
}

const borrowed = (source: ByteSource): ByteSource => ({
  name: source.name,
  byteLength: source.byteLength,
  ...(source.path === undefined ? {} : { path: source.path }),
  read: (offset, length) => source.read(offset, length),
  async close() {},
});

/** A whole file, refused above `limit` bytes. */
export async function readFileIn(folder: Folder, file: string, limit: number): Promise<Uint8Array> {
  const source = await folder.open(file);
  try {
    if (source.byteLength > limit)
      throw new FrugalError(
        "FRUGAL_BAD_FILE",
        `${folder.at(file)}: has ${source.byteLength} bytes, more than the ${limit} allowed here; check that it is the right file`,
        { byteLength: source.byteLength, limit },
      );
    return await source.read(0, source.byteLength);
  } finally {
    await source.close();
  }
}

const CONFIG_LIMIT = 16 << 20;

/** A JSON file that holds an object; undefined where there is no such file. Refused above `limit` bytes. */
export async function readJsonIn(folder: Folder, file: string, limit: number = CONFIG_LIMIT): Promise<JsonObject | undefined> {
  if (!(await folder.has(file))) return undefined;
  return parseJsonObject(folder.at(file), await readFileIn(folder, file, limit));
}

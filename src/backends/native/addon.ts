/** The native core as the binding shows it (native/bindings/node.cpp), and where it is found. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { nativePackage, platformHere } from "./packages.ts";

/** A model of the core; only its functions look inside. */
export type Handle = { readonly handle: unique symbol };

export interface Addon {
  sets(): string[];
  create(threads: number, set: string): Handle;
  addVector(handle: Handle, numbers: Float32Array | Int32Array): number;
  addMatrix(handle: Handle, type: number, rows: number, inputs: number, experts: number): number;
  /** Index of a coarse copy of a matrix (native/kernels/coarse.cpp), or -1 where it can have none. */
  addCoarse(handle: Handle, matrix: number): number;
  /** `sources`: matrix, path or -1 - buffer, offset, rows, 0 for each; resolves to "" or what went wrong. */
  fill(handle: Handle, paths: string[], sources: Float64Array, buffers: Uint8Array[], cancel: Int32Array): Promise<string>;
  progress(handle: Handle): number;
  addProgram(handle: Handle, words: Int32Array): number;
  /** `layers`: heads, key size, value size and pages of each. */
  allocate(handle: Handle, arenaBytes: number, scratchBytes: number, cacheFormat: number, layers: Int32Array): boolean;
  /** Bytes that these layers of the cache keep in a page. */
  pageBytes(handle: Handle, layers: Int32Array): number;
  /** Pages `from` of these layers into pages `to`, into bytes, or from bytes; resolves to false where a page is not there or sizes differ. */
  copyPages(handle: Handle, layers: Int32Array, from: Int32Array, to: Int32Array): Promise<boolean>;
  readPages(handle: Handle, layers: Int32Array, pages: Int32Array, bytes: Uint8Array): Promise<boolean>;
  writePages(handle: Handle, layers: Int32Array, pages: Int32Array, bytes: Uint8Array): Promise<boolean>;
  memory(handle: Handle): [weights: number, cache: number];
  /** Resolves to how it ended (see `Outcome` in native/runtime/model.h): kind, step, fault, kernel, the number at fault. */
  run(
    handle: Handle,
    program: number,
    symbols: Int32Array,
    inputs: (Int32Array | Float32Array)[],
    outputs: (Int32Array | Float32Array)[],
    cancel: Int32Array,
  ): Promise<[kind: number, step: number, fault: number, kernel: number, detail: number]>;
  dispose(handle: Handle): Promise<void>;
  /** Bytes or operations a second of a `Probe` (native/runtime/calibrate.h); 0 where memory or threads are short. */
  calibrate(kind: number, threads: number, set: string): Promise<number>;
}

const functions: Readonly<Record<keyof Addon, true>> = {
  sets: true,
  create: true,
  addVector: true,
  addMatrix: true,
  addCoarse: true,
  fill: true,
  progress: true,
  addProgram: true,
  allocate: true,
  pageBytes: true,
  copyPages: true,
  readPages: true,
  writePages: true,
  memory: true,
  run: true,
  dispose: true,
  calibrate: true,
};

/** A place where the core may lie. */
interface Place {
  readonly kind: "own build" | "package";
  /** The path of the file, or what `require` finds it by. */
  readonly file: string;
  /** The package.json that must have our version: the two halves of the core speak a language that changes from version to version. */
  readonly version?: string;
}

/** A place where the core was looked for; without `reason` it was found there. */
export interface Attempt extends Pick<Place, "kind" | "file"> {
  readonly reason?: string;
}

export type FoundAddon = { readonly tried: readonly Attempt[] } & ({ readonly addon: Addon } | { readonly reason: string });

/** A build of one's own comes first: who has compiled the core wants to run it. */
function usualPlaces(): readonly Place[] {
  const name = nativePackage(platformHere());
  return [
    { kind: "own build", file: fileURLToPath(new URL("../../../native/build/frugal.node", import.meta.url)) },
    { kind: "package", file: `${name}/frugal.node`, version: `${name}/package.json` },
  ];
}

/** The built core, or why there is none. */
export function findAddon(places: readonly Place[] = usualPlaces()): FoundAddon {
  const require = createRequire(import.meta.url);
  const tried: Attempt[] = [];
  for (const { kind, file, version } of places) {
    const path = resolved(require, file);
    const reason = path === undefined ? "is not there" : versionFault(require, version);
    const loaded = reason === undefined ? load(require, path!) : { reason };
    tried.push({ kind, file: path ?? file, ...("reason" in loaded ? loaded : {}) });
    if ("addon" in loaded) return { addon: loaded.addon, tried };
  }
  const faults = tried.filter(({ reason }) => reason !== "is not there").map(({ file, reason }) => `${file} ${reason}`);
  const missing = `the native core is not there: no package ${nativePackage(platformHere())}, and none built here`;
  return { reason: faults.length > 0 ? faults.join("; ") : `${missing} (npm run setup, with a C++ compiler installed)`, tried };
}

function resolved(require: NodeJS.Require, file: string): string | undefined {
  try {
    return require.resolve(file);
  } catch {
    return undefined;
  }
}

function load(require: NodeJS.Require, path: string): { readonly addon: Addon } | { readonly reason: string } {
  try {
    const addon = require(path) as Partial<Addon>;
    const lacking = Object.keys(functions).filter((name) => typeof addon[name as keyof Addon] !== "function");
    if (lacking.length === 0) return { addon: addon as Addon };
    return { reason: `is of another version of Frugal: it lacks ${lacking.join(", ")}` };
  } catch (error) {
    return { reason: `does not load: ${(error as Error).message.split("\n")[0]!}` };
  }
}

/** Where our own package.json is not beside us (one that bundles us has its own), there is nothing to compare with. */
function versionFault(require: NodeJS.Require, version: string | undefined): string | undefined {
  if (version === undefined) return undefined;
  const wanted = versionOf(require, fileURLToPath(new URL("../../../package.json", import.meta.url)), "frugal");
  const found = versionOf(require, version);
  if (wanted === undefined || wanted === found) return undefined;
  return `is version ${found ?? "unknown"}, but Frugal is ${wanted}; install the same version of both`;
}

function versionOf(require: NodeJS.Require, file: string, name?: string): string | undefined {
  try {
    const read = JSON.parse(readFileSync(require.resolve(file), "utf8")) as { readonly name?: string; readonly version?: string };
    return name === undefined || read.name === name ? read.version : undefined;
  } catch {
    return undefined;
  }
}

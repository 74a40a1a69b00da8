/** The native core as the binding shows it (native/bindings/node.cpp), and where it is found. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

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

/** The built core, or why there is none. */
export function findAddon(): { readonly addon: Addon } | { readonly reason: string } {
  const path = fileURLToPath(new URL("../../../native/build/frugal.node", import.meta.url));
  try {
    return { addon: createRequire(import.meta.url)(path) as Addon };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND";
    return {
      reason: missing
        ? "the native core is not built; run `npm run setup` with a C++ compiler installed"
        : `the native core does not load: ${(error as Error).message}`,
    };
  }
}

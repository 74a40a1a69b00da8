/** One model of the C++ core, whichever way it runs: as an addon of Node (`native/`) or as WebAssembly (`wasm/`). */
import type { ByteSource } from "../../tensor/source.ts";

/** Stored rows that fill the next rows of a matrix: of a source, or bytes that are made when they are wanted. */
export interface RowSource {
  readonly matrix: number;
  readonly rows: number;
  /** Stored bytes of a row. */
  readonly rowBytes: number;
  readonly from: { readonly source: ByteSource; readonly offset: number } | (() => Promise<Uint8Array>);
}

export interface FillOptions {
  readonly signal: AbortSignal;
  /** Called now and then with bytes of rows packed so far. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** How a run ended: `Outcome` of native/runtime/model.h. */
export type Outcome = readonly [kind: number, step: number, fault: number, kernel: number, detail: number];

export type Numbers = Int32Array | Float32Array;

export interface Core {
  /** The backend's name, for messages. */
  readonly name: string;
  /** Bytes that weights, arena and cache may have together. */
  readonly availableBytes: number;
  addVector(numbers: Numbers): number;
  /** Index, or -1 where rows are not whole blocks of the type. */
  addMatrix(type: number, rows: number, inputs: number, experts: number): number;
  /** Index of a coarse copy of a matrix (native/kernels/coarse.cpp), or -1 where it can have none. */
  addCoarse(matrix: number): number;
  /** Packs all matrices; sources of a matrix in order. "" or what went wrong: "memory", "not finite MATRIX ROW", or the system's words. */
  fill(sources: readonly RowSource[], options: FillOptions): Promise<string>;
  addProgram(words: Int32Array): number;
  /** `layers`: heads, key size, value size and pages of each. False where memory is short. */
  allocate(arenaBytes: number, scratchBytes: number, cacheFormat: number, layers: Int32Array): boolean;
  /** Bytes that these layers of the cache keep in a page. */
  pageBytes(layers: Int32Array): number;
  /** Pages `from` of these layers into pages `to`, into bytes, or from bytes; resolves to false where a page is not there or sizes differ. */
  copyPages(layers: Int32Array, from: Int32Array, to: Int32Array): Promise<boolean>;
  readPages(layers: Int32Array, pages: Int32Array, bytes: Uint8Array): Promise<boolean>;
  writePages(layers: Int32Array, pages: Int32Array, bytes: Uint8Array): Promise<boolean>;
  memory(): readonly [weights: number, cache: number];
  /** Runs a program once; runs queue in order. An abort of `signal` stops it between kernels. */
  run(
    program: number,
    symbols: Int32Array,
    inputs: readonly Numbers[],
    outputs: readonly Numbers[],
    signal?: AbortSignal,
  ): Promise<Outcome>;
  dispose(): Promise<void>;
}

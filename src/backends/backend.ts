/** The contract of everything that runs programs: `reference/`, `native/`, later `wasm/` and `webgpu/`. One conformance suite tests them all. */
import type { Symbols } from "../graph/dim.ts";
import type { Graph } from "../graph/value.ts";
import type { Shape } from "../tensor/shape.ts";
import type { StoredTensor } from "../tensor/stored.ts";

/** Rows (of the innermost dimension) of a stored tensor, used as they are stored. */
export interface RowRange {
  readonly tensor: StoredTensor;
  readonly first: number;
  readonly count: number;
}

/** What fills a `weight` of the graph: stored rows one after the other, or numbers computed when the model is loaded. */
export interface Weight {
  readonly shape: Shape;
  readonly content: { readonly rows: readonly RowRange[] } | { readonly values: () => Promise<Float32Array> };
}
export type Weights = ReadonlyMap<string, Weight>;

/** How keys and values are stored between runs. Q4_0 is of values; keys lose too much in 4 bits and are kept in Q8_0 (docs/decisions/0008-values-in-four-bits.md). */
export type CacheFormat = "F32" | "F16" | "Q8_0" | "Q4_0";

export interface LoadOptions {
  /** The largest value of each symbol in any run; the arena is planned for it. */
  readonly caps: Symbols;
  /**
   * Pages of `pageSize` tokens for keys and values, all sequences together; needed where a graph has `cacheAttention`. One number is for
   * each page table; a record says it by the name of the input that is the table.
   */
  readonly cachePages?: number | Readonly<Record<string, number>>;
  readonly cacheFormat?: CacheFormat;
  readonly signal?: AbortSignal;
  /** Called now and then with bytes of weights done and to do. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Backend {
  /** "native", "reference". */
  readonly name: string;
  /** For people: instruction set, threads, and why this backend. */
  readonly description: string;
  /**
   * Loads the weights that the graphs use and compiles each graph to a program of the same name. Weights that a graph updates are kept as
   * f32 numbers that all programs share; a run that fails or is aborted may leave some of them updated.
   */
  load(graphs: Readonly<Record<string, Graph>>, weights: Weights, options: LoadOptions): Promise<LoadedModel>;
}

export type Inputs = Readonly<Record<string, Int32Array | Float32Array>>;
export type Outputs = Readonly<Record<string, Float32Array | Int32Array>>;

export interface Call {
  readonly program: string;
  readonly symbols: Symbols;
  /** One array for each `input` of the graph, of the size its shape has with these symbols. */
  readonly inputs: Inputs;
  /** Arrays to write outputs into, by name, where type and length fit; else new ones are made. */
  readonly into?: Outputs;
  /** Stops between kernels; rejects with `signal.reason`, and what the run did to the cache does not count: rerun the same rows. */
  readonly signal?: AbortSignal;
}

export interface LoadedModel {
  /** Runs a program once, off the event loop; calls queue in order. The outputs are the caller's to keep. Rejects with FRUGAL_NUMERIC where an output holds NaN. */
  run(call: Call): Promise<Outputs>;
  /** The numbers of a weight that a program updates. Queues like a run. */
  readWeight(name: string): Promise<Float32Array>;
  /** Gives a weight that a program updates other numbers. Queues like a run. */
  writeWeight(name: string, numbers: Float32Array): Promise<void>;
  /**
   * Copies whole pages of all layers that the page table places, in order, `from[i]` to `to[i]`. Queues like a run. As the next two, it
   * rejects with FRUGAL_BAD_ARGUMENT for a table, page or length that is not there.
   */
  copyPages(table: string, from: Int32Array, to: Int32Array): Promise<void>;
  /** What pages hold, one after the other, as `writePages` of the same backend and cache format takes it. Queues like a run. */
  readPages(table: string, pages: Int32Array): Promise<Uint8Array>;
  /** Fills pages with what `readPages` gave; the bytes must stay as they are until then. Queues like a run. */
  writePages(table: string, pages: Int32Array, bytes: Uint8Array): Promise<void>;
  /**
   * Gives one slot of weights that an op reads slot by slot (`Op.slotInputs`) its first numbers; what is behind them stays. Queues like a run.
   * Rejects with FRUGAL_NOT_FOUND, FRUGAL_BAD_ARGUMENT, FRUGAL_SHAPE, FRUGAL_NUMERIC.
   */
  writeSlot(slot: number, numbers: ReadonlyMap<string, Float32Array>): Promise<void>;
  readonly memory: MemoryReport;
  /** Gives back all memory; runs under way finish first. Later calls reject with FRUGAL_DISPOSED. */
  dispose(): Promise<void>;
}

/** Bytes by purpose, from the plan that was allocated, not an estimate. */
export interface MemoryReport {
  readonly weights: number;
  readonly arena: number;
  readonly cache: number;
  /** The arena's formula in the symbols, for people. */
  readonly arenaFormula: string;
}

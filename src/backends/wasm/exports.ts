/** What the WebAssembly module exports (native/wasm/module.cpp): numbers that are places are offsets in its memory. */
export interface Exports {
  readonly __stack_pointer: WebAssembly.Global;
  /** Room of so many bytes; 0 where memory is short. */
  take(bytes: number): number;
  give(room: number): void;
  create(threads: number): number;
  /** Never returns: what the threads beside the driver do. */
  work(model: number, thread: number): void;
  addVector(model: number, numbers: number, count: number): number;
  addMatrix(model: number, type: number, rows: number, inputs: number, experts: number): number;
  addCoarse(model: number, matrix: number): number;
  packedBytes(model: number): number;
  beginFill(model: number): number;
  addProgram(model: number, words: number, count: number): number;
  allocate(model: number, arenaBytes: number, scratchBytes: number, format: number, layers: number, count: number): number;
  weightBytes(model: number): number;
  cacheBytes(model: number): number;
  pageBytes(model: number, layers: number, count: number): number;
}

/** What the driver calls: these compute on all threads. */
export type DriverCall = "fill" | "copyPages" | "readPages" | "writePages" | "run";

/** What a thread is given when it starts: the driver is thread 0. */
export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly model: number;
  readonly thread: number;
  /** Where its stack begins; it grows downwards. */
  readonly stack: number;
  /** A word that is 1 when threads are to leave; behind it, for each thread, one for the place that it waits at. */
  readonly leave: number;
}

export interface ThreadRequest {
  readonly id: number;
  readonly call: DriverCall;
  readonly words: readonly number[];
}

/** An answer to a request, or, without an id, that the thread is there or has left the core. */
export type ThreadAnswer =
  | { readonly ready: true }
  | { readonly left: true }
  | { readonly id: number; readonly result: number }
  | { readonly id: number; readonly failure: string };

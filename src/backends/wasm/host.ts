/** What differs between Node and browsers: where modules are, and how threads are started. */
import type { ThreadStart } from "./exports.ts";

export interface Thread {
  post(message: unknown): void;
  /** Whether the process stays alive for it. Browsers need no word of it. */
  hold(holds: boolean): void;
  end(): Promise<void>;
}

export interface ThreadListener {
  message(data: unknown): void;
  failure(reason: string): void;
}

export type ModuleName = "frugal-simd.wasm" | "frugal-relaxed.wasm";

export interface Host {
  /** Threads that this machine has for us; why there is but one, where memory can't be shared. */
  readonly parallelism: number;
  readonly alone?: string;
  /** Makes relaxed SIMD known to engines that have it behind a flag. */
  enableRelaxed(): void;
  compile(name: ModuleName): Promise<WebAssembly.Module>;
  startThread(start: ThreadStart, listener: ThreadListener): Thread;
  /** Gives memory back that nobody refers to any more, where that is not soon done by itself. */
  collect(): void;
}

/** Places of what lies beside the package, for those who moved it. */
export interface WasmFiles {
  readonly simd?: string | URL | undefined;
  readonly relaxed?: string | URL | undefined;
  readonly thread?: string | URL | undefined;
}

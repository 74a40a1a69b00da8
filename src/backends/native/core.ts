/** The core as an addon: its calls with a model's handle, and an abort as the flag that the core reads. */
import { totalmem } from "node:os";
import type { Core, RowSource } from "../core/core.ts";
import type { Addon, Handle } from "./addon.ts";

export function createNativeCore(addon: Addon, handle: Handle): Core {
  return {
    name: "native",
    // The system promises more than it has: what it could never give is refused rather than met when it is touched.
    availableBytes: Math.min(totalmem(), process.constrainedMemory() || Infinity),
    addVector: (numbers) => addon.addVector(handle, numbers),
    addMatrix: (type, rows, inputs, experts) => addon.addMatrix(handle, type, rows, inputs, experts),
    addCoarse: (matrix) => addon.addCoarse(handle, matrix),
    async fill(sources, { signal, onProgress }) {
      const { paths, numbers, memory } = gather(sources);
      const buffers: Uint8Array[] = [];
      for (const read of memory) {
        signal.throwIfAborted();
        buffers.push(await read());
      }
      return cancellable(signal, async (cancel) => {
        const timer = onProgress && setInterval(() => onProgress(addon.progress(handle)), 50);
        try {
          return await addon.fill(handle, paths, Float64Array.from(numbers), buffers, cancel);
        } finally {
          clearInterval(timer);
        }
      });
    },
    addProgram: (words) => addon.addProgram(handle, words),
    allocate: (arena, scratch, format, layers) => addon.allocate(handle, arena, scratch, format, layers),
    pageBytes: (layers) => addon.pageBytes(handle, layers),
    copyPages: (layers, from, to) => addon.copyPages(handle, layers, from, to),
    readPages: (layers, pages, bytes) => addon.readPages(handle, layers, pages, bytes),
    writePages: (layers, pages, bytes) => addon.writePages(handle, layers, pages, bytes),
    memory: () => addon.memory(handle),
    run: (program, symbols, inputs, outputs, signal) =>
      cancellable(signal, (cancel) => addon.run(handle, program, symbols, [...inputs], [...outputs], cancel)),
    dispose: () => addon.dispose(handle),
  };
}

async function cancellable<T>(signal: AbortSignal | undefined, work: (cancel: Int32Array) => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  const cancel = new Int32Array(1);
  const abort = (): void => void (cancel[0] = 1);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await work(cancel);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

interface Gathered {
  readonly paths: string[];
  /** Of the addon's `fill`: five a run of rows. */
  readonly numbers: number[];
  /** What brings those into memory that are not in files, in order. */
  readonly memory: (() => Promise<Uint8Array>)[];
}

/** Files are read by the core's threads; without a turn of the event loop, for the sooner they begin, the better. */
function gather(sources: readonly RowSource[]): Gathered {
  const gathered: Gathered = { paths: [], numbers: [], memory: [] };
  const { paths, numbers, memory } = gathered;
  for (const { matrix, rows, rowBytes, from } of sources) {
    // What lies in an archive of Electron's, JavaScript alone can read.
    const path = "source" in from && !/\.asar[\\/]/.test(from.source.path ?? "") ? from.source.path : undefined;
    if ("source" in from && path !== undefined) {
      let index = paths.indexOf(path);
      if (index < 0) index = paths.push(path) - 1;
      numbers.push(matrix, index, from.offset, rows, 0);
    } else {
      memory.push("source" in from ? () => from.source.read(from.offset, rows * rowBytes) : from);
      numbers.push(matrix, -memory.length, 0, rows, 0);
    }
  }
  return gathered;
}

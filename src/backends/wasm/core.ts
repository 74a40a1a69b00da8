/** The core as WebAssembly: numbers are laid into its memory and read back; what computes is asked of its threads. */
import { FrugalError } from "../../tensor/error.ts";
import type { Core, Numbers, Outcome } from "../core/core.ts";
import type { Exports } from "./exports.ts";
import { fillMatrices, type MatrixShape } from "./fill.ts";
import type { Host } from "./host.ts";
import { startThreads } from "./threads.ts";

/** What 32 bits address. */
const mostPages = 65536;
const pageBytes = 65536;
/** For inputs and outputs of a run. */
const largestRoom = 2 ** 30;

/** A memory that may grow as far as this device lets it. */
function createMemory(): { readonly memory: WebAssembly.Memory; readonly bytes: number } {
  let refusal: unknown;
  // A device with little room for addresses may refuse the most.
  for (let maximum = mostPages; maximum >= mostPages / 16; maximum /= 2) {
    try {
      return { memory: new WebAssembly.Memory({ initial: 32, maximum, shared: true }), bytes: maximum * pageBytes };
    } catch (error) {
      refusal = error;
    }
  }
  throw new FrugalError(
    "FRUGAL_OUT_OF_MEMORY",
    "wasm: this device gives no memory that threads can share; close other pages",
    {},
    {
      cause: refusal,
    },
  );
}

export async function createWasmCore(host: Host, module: WebAssembly.Module, threads: number): Promise<Core> {
  const created = createMemory();
  const availableBytes = created.bytes;
  let memory = created.memory;
  // This thread computes only where it is alone, and then waits for nobody.
  const alone = { wait() {}, notify() {} };
  const instance = await WebAssembly.instantiate(module, { env: { memory, ...alone } });
  let exports = instance.exports as unknown as Exports;
  const model = exports.create(threads);
  let running = await startThreads(host, module, memory, exports, model, threads);
  const matrices: MatrixShape[] = [];

  const take = (bytes: number): number => {
    // What crosses has 32 bits: more would come there as little.
    const room = bytes < largestRoom ? exports.take(bytes) : 0;
    if (room === 0)
      throw new FrugalError("FRUGAL_OUT_OF_MEMORY", `wasm: no memory for ${bytes} bytes; ask for a shorter context`, { needed: bytes });
    return room;
  };
  const lay = (room: number, numbers: Numbers | Uint8Array): void =>
    new Uint8Array(memory.buffer, room, numbers.byteLength).set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
  const read = (room: number, into: Numbers | Uint8Array): void =>
    new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(new Uint8Array(memory.buffer, room, into.byteLength));
  /** Places of these, each at a multiple of 16 bytes, given back after `work`. */
  const withRoom = <T>(sizes: readonly number[], work: (rooms: readonly number[]) => T): T => {
    let bytes = 0;
    const offsets = sizes.map((size) => {
      const at = bytes;
      bytes += 16 * Math.ceil(size / 16);
      return at;
    });
    const room = take(Math.max(bytes, 16));
    let later = false;
    try {
      const result = work(offsets.map((offset) => room + offset));
      if (!(result instanceof Promise)) return result;
      later = true;
      return result.finally(() => exports.give(room)) as T;
    } finally {
      if (!later) exports.give(room);
    }
  };
  const withNumbers = <T>(lists: readonly (Numbers | Uint8Array)[], work: (...rooms: number[]) => T): T =>
    withRoom(
      lists.map(({ byteLength }) => byteLength),
      (rooms) => {
        lists.forEach((list, i) => lay(rooms[i]!, list));
        return work(...rooms);
      },
    );
  const register = (index: number, matrix: MatrixShape): number => {
    if (index >= 0) matrices[index] = matrix;
    return index;
  };

  return {
    name: "wasm",
    availableBytes,
    addVector: (numbers) => withNumbers([numbers], (room) => exports.addVector(model, room, numbers.length)),
    addMatrix: (type, rows, inputs, experts) => register(exports.addMatrix(model, type, rows, inputs, experts), { rows, experts }),
    addCoarse: (matrix) => exports.addCoarse(model, matrix),
    async fill(sources, options) {
      if (exports.packedBytes(model) > availableBytes || exports.beginFill(model) === 0) return "memory";
      return fillMatrices(matrices, sources, options, {
        take,
        give: exports.give,
        lay,
        pack: (matrix, first, rows, room) => running.call("fill", model, matrix, first, rows, room),
      });
    },
    addProgram: (words) => withNumbers([words], (room) => exports.addProgram(model, room, words.length)),
    allocate: (arena, scratch, format, layers) =>
      withNumbers([layers], (room) => exports.allocate(model, arena, scratch, format, room, layers.length) !== 0),
    pageBytes: (layers) => withNumbers([layers], (room) => exports.pageBytes(model, room, layers.length)),
    copyPages: (layers, from, to) =>
      withNumbers(
        [layers, from, to],
        async (a, b, c) => (await running.call("copyPages", model, a, layers.length, b, c, from.length)) !== 0,
      ),
    readPages: (layers, pages, bytes) =>
      withNumbers([layers, pages, bytes], async (a, b, c) => {
        const done = await running.call("readPages", model, a, layers.length, b, pages.length, c, bytes.length);
        read(c, bytes);
        return done !== 0;
      }),
    writePages: (layers, pages, bytes) =>
      withNumbers(
        [layers, pages, bytes],
        async (a, b, c) => (await running.call("writePages", model, a, layers.length, b, pages.length, c, bytes.length)) !== 0,
      ),
    memory: () => [exports.weightBytes(model), exports.cacheBytes(model)],
    run(program, symbols, inputs, outputs, signal) {
      const arrays = [...inputs, ...outputs];
      const table = 8 * arrays.length;
      const sizes = [symbols.byteLength, table, 4, 20, ...arrays.map(({ byteLength }) => byteLength)];
      return withRoom(sizes, async ([symbolsAt, tableAt, cancelAt, outcomeAt, ...places]) => {
        lay(symbolsAt!, symbols);
        lay(tableAt!, Int32Array.from(arrays.flatMap((array, i) => [places[i]!, array.length])));
        const cancel = new Int32Array(memory.buffer, cancelAt, 1);
        cancel[0] = 0;
        inputs.forEach((input, i) => lay(places[i]!, input));
        const abort = (): void => void Atomics.store(cancel, 0, 1);
        signal?.addEventListener("abort", abort, { once: true });
        try {
          await running.call("run", model, program, symbolsAt!, tableAt!, inputs.length, outputs.length, cancelAt!, outcomeAt!);
        } finally {
          signal?.removeEventListener("abort", abort);
        }
        outputs.forEach((output, i) => read(places[inputs.length + i]!, output));
        const [kind = 0, step = 0, fault = 0, kernel = 0, detail = 0] = new Int32Array(memory.buffer, outcomeAt, 5);
        return [kind, step, fault, kernel, detail] satisfies Outcome;
      });
    },
    async dispose() {
      await running.end();
      await new Promise((resolve) => setTimeout(resolve)); // the last calls read their results and give their room back
      // Whoever still holds the model must not hold its memory.
      memory = exports = running = undefined as never;
      host.collect();
    },
  };
}

/** A loaded model without weights, for tests of serving: its logits depend on every token that the page table leads to, so a wrong page shows. */
import type { Call, LoadedModel, Outputs } from "../../src/backends/backend.ts";

export interface ToyOptions {
  readonly vocabularySize: number;
  readonly cachePages: number;
  readonly pageSize: number;
  /** Of a second table, `pageTable.<window>`, that must lead to the same tokens within the window. */
  readonly window?: number;
  /** Milliseconds a run takes, ended early by the signal. */
  readonly delay?: (call: Call) => number;
  /** Throws in place of a run. */
  readonly fault?: (call: Call) => Error | undefined;
}

/** What `toyLogits` gives the highest value after these tokens. */
export function toyNext(tokens: readonly number[], vocabularySize: number): number {
  let state = 7;
  for (const token of tokens) state = (Math.imul(state, 31) + token + 1) >>> 0;
  return (state >>> 4) % vocabularySize;
}

export function toyLogits(tokens: readonly number[], vocabularySize: number): Float32Array {
  const next = toyNext(tokens, vocabularySize);
  return Float32Array.from({ length: vocabularySize }, (_, id) => (id === next ? 4 : (id % 5) / 5));
}

export function toyModel(options: ToyOptions): LoadedModel & { readonly calls: Call[] } {
  const { vocabularySize, pageSize } = options;
  const windowed = `pageTable.${options.window}`;
  const caches: Readonly<Record<string, Int32Array>> = Object.fromEntries(
    ["pageTable", windowed].map((name) => [name, new Int32Array(options.cachePages * pageSize).fill(-1)]),
  );
  const calls: Call[] = [];
  let queue: Promise<unknown> = Promise.resolve();
  const compute = async (call: Call): Promise<Outputs> => {
    await wait(options.delay?.(call) ?? 0, call.signal);
    const fault = options.fault?.(call);
    if (fault !== undefined) throw fault;
    const { tokens, positions, rowOffsets, contextLengths, outputRows } = call.inputs as Record<string, Int32Array>;
    const { S, C, R } = call.symbols;
    const prefixes: number[][] = [];
    for (let s = 0; s < S; s++) {
      const seenIn = (name: string): number[] => {
        const table = call.inputs[name] as Int32Array;
        const slot = (position: number): number => table[s * C + Math.floor(position / pageSize)]! * pageSize + (position % pageSize);
        for (let row = rowOffsets![s]!; row < rowOffsets![s + 1]!; row++) caches[name]![slot(positions![row]!)] = tokens![row]!;
        return Array.from({ length: contextLengths![s]! }, (_, position) => caches[name]![slot(position)]!);
      };
      const seen = seenIn("pageTable");
      const near = options.window === undefined ? seen : seenIn(windowed);
      for (let row = rowOffsets![s]!; row < rowOffsets![s + 1]!; row++) {
        const end = positions![row]! + 1;
        const from = Math.max(0, end - (options.window ?? 0));
        // A wrong page in the window is as bad as one before it.
        prefixes[row] = [...seen.slice(0, from), ...near.slice(from, end)];
        if (seen.slice(from, end).join() !== near.slice(from, end).join()) prefixes[row]!.push(-1);
      }
    }
    const logits = new Float32Array(R * vocabularySize);
    outputRows!.forEach((row, i) => logits.set(toyLogits(prefixes[row]!, vocabularySize), i * vocabularySize));
    const likeliest = Int32Array.from({ length: R }, (_, r) => {
      const row = logits.subarray(r * vocabularySize, (r + 1) * vocabularySize);
      return row.indexOf(Math.max(...row));
    });
    return { logits, likeliest };
  };
  const enqueue = <T>(work: () => Promise<T>): Promise<T> => {
    const result = queue.then(work);
    queue = result.catch(() => undefined);
    return result;
  };
  const held = (table: string, page: number): Int32Array => caches[table]!.subarray(page * pageSize, (page + 1) * pageSize);
  return {
    calls,
    run(call) {
      calls.push(call);
      return enqueue(() => compute(call));
    },
    copyPages: (table, from, to) => enqueue(async () => to.forEach((page, i) => held(table, page).set(held(table, from[i]!)))),
    readPages: (table, pages) =>
      enqueue(async () => new Uint8Array(Int32Array.from([...pages].flatMap((page) => [...held(table, page)])).buffer)),
    writePages: (table, pages, bytes) =>
      enqueue(async () =>
        pages.forEach((page, i) => held(table, page).set(new Int32Array(bytes.slice(i * 4 * pageSize, (i + 1) * 4 * pageSize).buffer))),
      ),
    readWeight: () => Promise.reject(new Error("a toy keeps no weights")),
    writeWeight: () => Promise.reject(new Error("a toy keeps no weights")),
    writeSlot: () => Promise.reject(new Error("a toy keeps no weights")),
    memory: { weights: 0, arena: 0, cache: 0, arenaFormula: "0" },
    async dispose() {},
  };
}

const wait = (milliseconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });

/** The threads of one model: requests to the driver and its answers. Where memory can't be shared, the thread that asks computes itself. */
import { FrugalError } from "../../tensor/error.ts";
import type { DriverCall, Exports, ThreadAnswer, ThreadStart } from "./exports.ts";
import type { Host, Thread } from "./host.ts";

export interface Threads {
  /** Runs a call of the core and resolves to its result; calls queue in order. Rejects with FRUGAL_INTERNAL where a thread is lost. */
  call(call: DriverCall, ...words: number[]): Promise<number>;
  /** Waits for the calls under way, then ends the threads. */
  end(): Promise<void>;
}

/** Stacks of threads; the module's own is as large (native/build-wasm.mjs). */
const stackBytes = 1 << 18;

interface Waiting {
  resolve(result: number): void;
  reject(error: Error): void;
}

/** Starts the driver and `threads - 1` beside it; resolves when all are there. */
export async function startThreads(
  host: Host,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  exports: Exports,
  model: number,
  threads: number,
): Promise<Threads> {
  if (host.alone !== undefined) return alone(exports);
  const waiting = new Map<number, Waiting>();
  const started: Thread[] = [];
  let next = 1;
  let lost: Error | undefined;
  const lose = (reason: string): void => {
    lost ??= new FrugalError("FRUGAL_INTERNAL", `wasm: a thread was lost (${reason}); load the model again`, { reason });
    for (const { reject } of waiting.values()) reject(lost);
    waiting.clear();
    for (const thread of started) void thread.end();
    drained?.();
  };
  const answer = (data: ThreadAnswer): void => {
    if (!("id" in data)) return;
    const call = waiting.get(data.id);
    waiting.delete(data.id);
    if (waiting.size === 0) {
      started[0]!.hold(false);
      drained?.();
    }
    if ("result" in data) call?.resolve(data.result);
    else {
      call?.reject(new FrugalError("FRUGAL_INTERNAL", `wasm: the core failed (${data.failure}); load the model again`));
      lose(data.failure); // what a trap leaves behind can't be trusted
    }
  };
  const start = (thread: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const room = exports.take(stackBytes);
      if (room === 0) return reject(new FrugalError("FRUGAL_OUT_OF_MEMORY", "wasm: no memory for another thread; ask for fewer threads"));
      const begin: ThreadStart = { module, memory, model, thread, stack: room + stackBytes, leave };
      const handle = host.startThread(begin, {
        message(data) {
          if ("ready" in (data as ThreadAnswer)) {
            if (thread > 0) inCore++;
            resolve();
          } else if ("left" in (data as ThreadAnswer)) inCore--;
          else answer(data as ThreadAnswer);
        },
        failure(reason) {
          reject(new FrugalError("FRUGAL_UNSUPPORTED", `wasm: a thread can't be started (${reason}); ask for fewer threads`, { thread }));
          lose(reason);
        },
      });
      started.push(handle);
    });
  const leave = exports.take(4 * (threads + 1));
  if (leave === 0) throw new FrugalError("FRUGAL_OUT_OF_MEMORY", "wasm: no memory for threads; close other pages");
  new Int32Array(memory.buffer, leave, threads + 1).fill(0);
  let inCore = 0;
  /** Resolves when the threads beside the driver have left the core, or do not answer. */
  const leaveCore = async (): Promise<void> => {
    const all = new Int32Array(memory.buffer);
    Atomics.store(all, leave >> 2, 1);
    for (let tries = 0; inCore > 0 && tries < 100; tries++) {
      // One that was about to wait is woken at the next try.
      for (let thread = 1; thread < threads; thread++) Atomics.notify(all, Atomics.load(all, (leave >> 2) + 1 + thread) >> 2);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  let drained: (() => void) | undefined;
  const end = async (): Promise<void> => {
    const isWhole = lost === undefined;
    if (isWhole && waiting.size > 0) await new Promise<void>((resolve) => (drained = resolve));
    lost ??= new FrugalError("FRUGAL_DISPOSED", "wasm: the model was disposed; load it again");
    if (isWhole) await leaveCore();
    await Promise.all(started.map((thread) => thread.end()));
  };
  try {
    await Promise.all(Array.from({ length: threads }, (_, thread) => start(thread)));
  } catch (error) {
    await end();
    throw error;
  }
  for (const thread of started) thread.hold(false);
  return {
    call: (call, ...words) =>
      new Promise((resolve, reject) => {
        if (lost !== undefined) return reject(lost);
        const id = next++;
        if (waiting.size === 0) started[0]!.hold(true);
        waiting.set(id, { resolve, reject });
        started[0]!.post({ id, call, words });
      }),
    end,
  };
}

/** Between calls the event loop has its turn, so that what arrives meanwhile is heard. */
function alone(exports: Exports): Threads {
  const calls = exports as unknown as Record<DriverCall, (...words: number[]) => number | undefined>;
  let last: Promise<unknown> = Promise.resolve();
  let ended = false;
  const turn = (): Promise<void> =>
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    });
  return {
    call(call, ...words) {
      const result = last.then(async () => {
        await turn();
        if (ended) throw new FrugalError("FRUGAL_DISPOSED", "wasm: the model was disposed; load it again");
        return calls[call](...words) ?? 0;
      });
      last = result.catch(() => undefined);
      return result;
    },
    async end() {
      await last;
      ended = true;
    },
  };
}

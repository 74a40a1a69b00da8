/**
 * A thread of the WebAssembly core, as a worker of Node or of a browser: the driver answers requests, the others wait in the core for its work.
 * It imports nothing, so that it starts at once.
 */
import type { ThreadAnswer, ThreadRequest, ThreadStart } from "./exports.ts";

interface Port {
  postMessage(message: ThreadAnswer): void;
  receive(listener: (data: unknown) => void): void;
}

function openPort(): Port {
  const node = globalThis.process?.getBuiltinModule?.("node:worker_threads").parentPort;
  if (node !== null && node !== undefined)
    return { postMessage: (message) => node.postMessage(message), receive: (listener) => void node.on("message", listener) };
  const scope = globalThis as unknown as { postMessage(message: unknown): void; onmessage: (event: { data: unknown }) => void };
  return {
    postMessage: (message) => scope.postMessage(message),
    receive: (listener) => void (scope.onmessage = ({ data }) => listener(data)),
  };
}

const port = openPort();
/** Thrown through the core by a thread that leaves it. */
const left = new Error("the thread has left");
let calls: Record<string, (...words: number[]) => number> | undefined;
port.receive((data) => {
  if (calls !== undefined) return answer(data as ThreadRequest);
  const { module, memory, model, thread, stack, leave } = data as ThreadStart;
  // What threads wait for lies in the memory that is there from the start.
  const words = new Int32Array(memory.buffer);
  const own = (leave >> 2) + 1 + thread;
  // A worker that waits is ended two seconds late by Chromium, so it leaves the core by itself before.
  const checkLeave = (): void => {
    if (Atomics.load(words, leave >> 2) !== 0) throw left;
  };
  const wait = (place: number, value: number): void => {
    Atomics.store(words, own, place);
    checkLeave();
    Atomics.wait(words, place >> 2, value);
    checkLeave();
  };
  const notify = (place: number): void => void Atomics.notify(words, place >> 2);
  const { exports } = new WebAssembly.Instance(module, { env: { memory, wait, notify } });
  (exports["__stack_pointer"] as WebAssembly.Global).value = stack;
  calls = exports as unknown as Record<string, (...words: number[]) => number>;
  port.postMessage({ ready: true });
  if (thread === 0) return;
  try {
    calls["work"]!(model, thread);
  } catch (error) {
    if (error !== left) throw error;
    port.postMessage({ left: true });
  }
});

function answer({ id, call, words }: ThreadRequest): void {
  try {
    port.postMessage({ id, result: calls![call]!(...words) ?? 0 });
  } catch (error) {
    port.postMessage({ id, failure: error instanceof Error ? error.message : String(error) });
  }
}

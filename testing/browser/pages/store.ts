/** A page that runs operations of the store in itself and in a worker of its own. */
import { operations } from "./store-operations.ts";

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map<number, (answer: unknown) => void>();
worker.onmessage = ({ data }: MessageEvent<{ id: number; answer: unknown }>) => waiting.get(data.id)?.(data.answer);
let calls = 0;

Object.assign(globalThis, {
  inPage: operations().run,
  inWorker: (name: string, args: readonly unknown[]) =>
    new Promise((resolve) => {
      waiting.set(++calls, resolve);
      worker.postMessage({ id: calls, name, args });
    }),
});

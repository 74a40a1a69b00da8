/** The WebAssembly core in a browser's worker: modules come from beside this script, threads are dedicated workers. */
import { FrugalError } from "../../tensor/error.ts";
import type { Host, ThreadListener, WasmFiles } from "./host.ts";

/**
 * Milliseconds in which a worker that is terminated is gone; nobody tells. Chromium keeps a worker for ever that ends while one that it started
 * still does (4 of 6 without the wait, 0 of 6 with 150 ms).
 */
const goneAfter = 150;

export function createHost(files: WasmFiles): Host {
  const { crossOriginIsolated = false } = globalThis as { crossOriginIsolated?: boolean };
  const alone = !crossOriginIsolated
    ? "the page is not cross-origin isolated"
    : typeof Worker === "undefined"
      ? "this worker can't start others"
      : undefined;
  return {
    parallelism: navigator.hardwareConcurrency || 1,
    ...(alone === undefined ? {} : { alone }),
    enableRelaxed() {},
    collect() {}, // the engine's worker ends
    compile: (name) =>
      name === "frugal-simd.wasm"
        ? compile(files.simd ?? new URL("./frugal-simd.wasm", import.meta.url))
        : compile(files.relaxed ?? new URL("./frugal-relaxed.wasm", import.meta.url)),
    startThread(start, listener) {
      // Written so that bundlers see which file is meant.
      const worker =
        files.thread === undefined
          ? new Worker(new URL("./thread.js", import.meta.url), { type: "module" })
          : new Worker(files.thread, { type: "module" });
      listen(worker, listener);
      worker.postMessage(start);
      return {
        post: (message) => worker.postMessage(message),
        hold() {},
        async end() {
          worker.terminate();
          await new Promise((resolve) => setTimeout(resolve, goneAfter));
        },
      };
    },
  };
}

function listen(worker: Worker, listener: ThreadListener): void {
  worker.addEventListener("message", ({ data }) => listener.message(data));
  worker.addEventListener("error", (event) => listener.failure(event.message || "the thread's script can't be loaded"));
}

async function compile(place: string | URL): Promise<WebAssembly.Module> {
  const response = await fetch(place);
  if (!response.ok)
    throw new FrugalError("FRUGAL_NOT_FOUND", `wasm: ${String(place)} answers ${response.status}; copy the package's .wasm files there`, {
      status: response.status,
    });
  // Servers that don't know the type of .wasm files are no reason to fail.
  if (response.headers.get("content-type")?.startsWith("application/wasm") === true) return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

/** The WebAssembly core in Node, Bun and Deno: modules are files, threads are worker threads. */
import { availableParallelism } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { readWhole } from "../../formats/files.ts";
import type { Host, WasmFiles } from "./host.ts";

// Told from a folder that the command line's bundle shares.
const beside = {
  simd: new URL("../../../wasm/frugal-simd.wasm", import.meta.url),
  relaxed: new URL("../../../wasm/frugal-relaxed.wasm", import.meta.url),
  thread: new URL("../../../dist/backends/wasm/thread.js", import.meta.url),
};

const isNode = process.versions["bun"] === undefined && process.versions["deno"] === undefined;

/** Ours have less than half a megabyte. */
const mostModuleBytes = 1 << 24;

const placeOf = (file: string | URL): URL => (file instanceof URL ? file : file.includes("://") ? new URL(file) : pathToFileURL(file));

export function createHost(files: WasmFiles): Host {
  const places = { simd: files.simd ?? beside.simd, relaxed: files.relaxed ?? beside.relaxed, thread: files.thread ?? beside.thread };
  return {
    parallelism: availableParallelism(),
    // Node 20 has relaxed SIMD finished but not switched on.
    enableRelaxed() {
      if (isNode) setFlagsFromString("--experimental-wasm-relaxed-simd");
    },
    // V8 does not count shared memory as a reason to look for what is not used: 250 MB of weights stayed until the next model was loaded.
    collect() {
      if (!isNode) return;
      setFlagsFromString("--expose-gc");
      const gc: unknown = runInNewContext("globalThis.gc");
      if (typeof gc === "function") gc();
    },
    async compile(name) {
      const place = placeOf(name === "frugal-simd.wasm" ? places.simd : places.relaxed);
      return WebAssembly.compile(new Uint8Array(await readWhole(fileURLToPath(place), mostModuleBytes)));
    },
    startThread(start, listener) {
      const worker = new Worker(placeOf(places.thread));
      let ended = false;
      worker.on("message", (data) => listener.message(data));
      worker.on("error", (error) => listener.failure(error instanceof Error ? error.message : String(error)));
      worker.on("exit", (code) => {
        if (!ended) listener.failure(`the thread ended with code ${code}`);
      });
      worker.postMessage(start);
      return {
        post: (message) => worker.postMessage(message),
        hold: (holds) => (holds ? worker.ref() : worker.unref()),
        async end() {
          ended = true;
          await worker.terminate();
        },
      };
    },
  };
}

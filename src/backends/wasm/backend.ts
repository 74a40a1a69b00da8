/** The WebAssembly backend: the C++ core where no native code runs, on as many threads as share memory. */
import { FrugalError } from "../../tensor/error.ts";
import type { Backend } from "../backend.ts";
import { loadCore } from "../core/load.ts";
import { createWasmCore } from "./core.ts";
import { hasRelaxedSimd, hasSimd } from "./features.ts";
import type { Host, ModuleName, WasmFiles } from "./host.ts";

export interface WasmOptions {
  /** Threads that compute together. Default: as many as this device has; one where memory can't be shared. */
  readonly threads?: number;
  /** "relaxed" is faster, and only engines of recent years have it. Default: what this engine has. */
  readonly simd?: "relaxed" | "baseline";
  /** Where the modules and the threads' script are. Default: beside this package. */
  readonly files?: WasmFiles;
}

/**
 * The WebAssembly backend, or why this engine has none. Rejects with FRUGAL_BAD_ARGUMENT, FRUGAL_NOT_FOUND where a module is not there,
 * FRUGAL_BAD_FILE where it is none.
 */
export async function createWasmBackend(options: WasmOptions = {}): Promise<{ readonly backend: Backend } | { readonly reason: string }> {
  if (!hasSimd()) return { reason: "this engine's WebAssembly has no SIMD" };
  const host = await findHost(options.files ?? {});
  // Engines that have it by default may not know the flag, and complain.
  if (!hasRelaxedSimd()) host.enableRelaxed();
  const relaxed = hasRelaxedSimd();
  const simd = options.simd ?? (relaxed ? "relaxed" : "baseline");
  if (simd !== "relaxed" && simd !== "baseline")
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `wasm: simd is ${JSON.stringify(simd)}; it may be "relaxed" or "baseline"`, { simd });
  if (simd === "relaxed" && !relaxed) return { reason: "this engine's WebAssembly has no relaxed SIMD" };
  const threads = options.threads ?? host.parallelism;
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `wasm: threads must be a whole number from 1 to 1024, got ${threads}`, { threads });
  const used = host.alone === undefined ? threads : 1;
  const module = await compiled(host, simd === "relaxed" ? "frugal-relaxed.wasm" : "frugal-simd.wasm");
  const why = host.alone === undefined ? "" : ` (${host.alone})`;
  return {
    backend: {
      name: "wasm",
      description: `wasm: ${simd === "relaxed" ? "relaxed SIMD" : "SIMD"}, ${used} ${used === 1 ? "thread" : "threads"}${why}`,
      load: async (graphs, weights, load) => loadCore(await createWasmCore(host, module, used), graphs, weights, load),
    },
  };
}

async function compiled(host: Host, name: ModuleName): Promise<WebAssembly.Module> {
  try {
    return await host.compile(name);
  } catch (cause) {
    if (!(cause instanceof WebAssembly.CompileError)) throw cause;
    throw new FrugalError(
      "FRUGAL_BAD_FILE",
      `wasm: ${name} can't be compiled (${cause.message}); copy it from the package again, and let the page's policy allow 'wasm-unsafe-eval'`,
      { file: name },
      { cause },
    );
  }
}

async function findHost(files: WasmFiles): Promise<Host> {
  const isNode = typeof globalThis.process?.getBuiltinModule === "function";
  const { createHost } = isNode ? await import("./node.ts") : await import("./web.ts");
  return createHost(files);
}

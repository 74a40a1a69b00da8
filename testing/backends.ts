/** The backends that run the C++ core, for suites that try them all: native with every instruction set of this machine, and WebAssembly. */
import type { Backend } from "../src/backends/backend.ts";
import { createNativeBackend, instructionSets } from "../src/backends/native/backend.ts";
import { createWasmBackend } from "../src/backends/wasm/backend.ts";

export interface CoreBackend {
  /** "native, avx2", "wasm, relaxed". */
  readonly name: string;
  create(threads: number): Promise<Backend>;
}

type Made = { readonly backend: Backend } | { readonly reason: string };

const made = (found: Made): Backend => {
  if ("reason" in found) throw new Error(found.reason);
  return found.backend;
};

const native = instructionSets();

export const coreBackends: readonly CoreBackend[] = [
  ...("sets" in native ? native.sets : []).map((instructionSet) => ({
    name: `native, ${instructionSet}`,
    create: async (threads: number) => made(createNativeBackend({ threads, instructionSet })),
  })),
  ...(["relaxed", "baseline"] as const).map((simd) => ({
    name: `wasm, ${simd}`,
    create: async (threads: number) => made(await createWasmBackend({ threads, simd })),
  })),
];

/** @throws where there is none of that name. */
export function coreBackend(name: string, threads: number): Promise<Backend> {
  const found = coreBackends.find((backend) => backend.name === name);
  if (found === undefined) throw new Error(`there is no ${name}; there are ${coreBackends.map((backend) => backend.name).join("; ")}`);
  return found.create(threads);
}

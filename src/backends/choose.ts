/** The backend that runs things where nobody brings one: native where there is one, else WebAssembly, else reference. Each is loaded only when wanted. */
import { FrugalError, nearest } from "../tensor/error.ts";
import type { Backend } from "./backend.ts";

export type BackendName = "native" | "wasm" | "reference";

export interface BackendChoice {
  /** Default: native where there is one, else wasm, else reference. */
  readonly backend?: BackendName | Backend | undefined;
  /** Threads that compute together. Default: as many as this process may use. */
  readonly threads?: number | undefined;
}

const backendNames: readonly BackendName[] = ["native", "wasm", "reference"];

/** @throws FRUGAL_BAD_ARGUMENT for an unknown name, FRUGAL_UNSUPPORTED where the one that is asked for is not there. */
export async function chooseBackend({ backend, threads }: BackendChoice): Promise<Backend> {
  if (typeof backend === "object") return backend;
  if (backend !== undefined && !backendNames.includes(backend)) {
    const near = nearest(String(backend), backendNames);
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `load: there is no backend ${JSON.stringify(backend)}; ${near === undefined ? `there are ${backendNames.join(", ")}` : `did you mean ${near}?`}`,
      { backend },
    );
  }
  const options = threads === undefined ? {} : { threads };
  const missing: string[] = [];
  for (const name of backendNames) {
    if (backend !== undefined && backend !== name) continue;
    const made = await makers[name](options);
    if ("backend" in made) return withReasons(made.backend, missing);
    if (backend === name)
      throw new FrugalError(
        "FRUGAL_UNSUPPORTED",
        `load: the ${name} backend is not there: ${made.reason}; choose another, and see \`frugal doctor\``,
        { backend },
      );
    missing.push(`${name} is not there: ${made.reason}`);
  }
  throw new FrugalError("FRUGAL_INTERNAL", "load: no backend is there; install the package again");
}

type Made = { readonly backend: Backend } | { readonly reason: string };

const makers: Readonly<Record<BackendName, (options: { readonly threads?: number }) => Promise<Made>>> = {
  native: async (options) => (await import("./native/backend.ts")).createNativeBackend(options),
  async wasm(options) {
    try {
      return await (await import("./wasm/backend.ts")).createWasmBackend(options);
    } catch (error) {
      // A module that is not where it should be, or a policy of the page that forbids to compile it.
      if (error instanceof FrugalError && error.code === "FRUGAL_BAD_ARGUMENT") throw error;
      return { reason: error instanceof Error ? error.message : String(error) };
    }
  },
  reference: async () => ({ backend: (await import("./reference/backend.ts")).createReferenceBackend() }),
};

const withReasons = (backend: Backend, missing: readonly string[]): Backend =>
  missing.length === 0 ? backend : { ...backend, description: [backend.description, ...missing].join("; ") };

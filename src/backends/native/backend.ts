/** The native backend: the C++ core as an addon of Node, on threads of its own. */
import { availableParallelism } from "node:os";
import { FrugalError } from "../../tensor/error.ts";
import type { Backend } from "../backend.ts";
import type { Core } from "../core/core.ts";
import { loadCore } from "../core/load.ts";
import { type Addon, findAddon } from "./addon.ts";
import { createNativeCore } from "./core.ts";

export interface NativeOptions {
  /** Threads that compute together; as many as this process may use where absent. */
  readonly threads?: number;
  /** "avx512", "avx2" or "portable"; on ARM64 "neon_i8mm", "neon_dot" or "neon"; the best one where absent. */
  readonly instructionSet?: string;
}

/** The native backend, or why this machine has none. */
export function createNativeBackend(options: NativeOptions = {}): { readonly backend: Backend } | { readonly reason: string } {
  const found = findAddon();
  if ("reason" in found) return found;
  const { addon } = found;
  const threads = options.threads ?? availableParallelism();
  const sets = addon.sets();
  const set = options.instructionSet ?? sets[0]!;
  if (!sets.includes(set))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `native: this processor does not run "${set}"; it runs ${sets.join(", ")}`, {
      instructionSet: set,
    });
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `native: threads must be a whole number from 1 to 1024, got ${threads}`, { threads });
  return {
    backend: {
      name: "native",
      description: `native: C++, ${set}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
      load: async (graphs, weights, load) => loadCore(createCore(addon, threads, set), graphs, weights, load),
    },
  };
}

function createCore(addon: Addon, threads: number, set: string): Core {
  try {
    return createNativeCore(addon, addon.create(threads, set));
  } catch (cause) {
    throw new FrugalError(
      "FRUGAL_OUT_OF_MEMORY",
      `native: ${threads} threads can't be started (${(cause as Error).message}); ask for fewer`,
      { threads },
      { cause },
    );
  }
}

/** The kernel sets that this processor runs, best first, or why there is no native core. */
export function instructionSets(): { readonly sets: readonly string[] } | { readonly reason: string } {
  const found = findAddon();
  return "reason" in found ? found : { sets: found.addon.sets() };
}

/** What this machine can do at most, as the native core measures it: what speeds are held against, and what plans count with. */
import { availableParallelism } from "node:os";
import { FrugalError, nearest } from "../../tensor/error.ts";
import { findAddon } from "./addon.ts";

/** In the order of `Probe` in native/runtime/calibrate.h. */
export const calibrations = ["bandwidth", "f32", "int8"] as const;

/**
 * `bandwidth`: bytes a second read from memory, over 256 MiB in huge pages where the system has them.
 * `f32`: operations a second of fused multiply-adds in registers, each counted as two.
 * `int8`: the same for dot products of unsigned by signed bytes, summed in 32 bits.
 */
export type Calibration = (typeof calibrations)[number];

export interface CalibrateOptions {
  /** Threads that work together; as many as this process may use where absent. */
  readonly threads?: number;
  /** "avx512", "avx2" or "portable"; on ARM64 "neon_i8mm", "neon_dot" or "neon"; the best one where absent. */
  readonly instructionSet?: string;
}

/**
 * Measures one limit, in bytes or operations a second; takes a second at most and all of the threads.
 * Rejects with FRUGAL_UNSUPPORTED where there is no native core, FRUGAL_BAD_ARGUMENT, or FRUGAL_OUT_OF_MEMORY.
 */
export async function calibrate(kind: Calibration, options: CalibrateOptions = {}): Promise<number> {
  const number = calibrations.indexOf(kind);
  if (number < 0) {
    const near = nearest(String(kind), calibrations);
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `calibrate: there is no "${kind}"; ${near === undefined ? `there are ${calibrations.join(", ")}` : `did you mean "${near}"?`}`,
      { kind },
    );
  }
  const found = findAddon();
  if ("reason" in found) throw new FrugalError("FRUGAL_UNSUPPORTED", `calibrate: ${found.reason}`);
  const { addon } = found;
  const threads = options.threads ?? availableParallelism();
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024)
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `calibrate: threads must be a whole number from 1 to 1024, got ${threads}`, { threads });
  const sets = addon.sets();
  const set = options.instructionSet ?? sets[0]!;
  if (!sets.includes(set))
    throw new FrugalError("FRUGAL_BAD_ARGUMENT", `calibrate: this processor does not run "${set}"; it runs ${sets.join(", ")}`, {
      instructionSet: set,
    });
  const rate = await addon.calibrate(number, threads, set);
  if (rate > 0) return rate;
  throw new FrugalError("FRUGAL_OUT_OF_MEMORY", `calibrate: no memory or no threads for ${threads} threads; close other programs`, {
    threads,
  });
}

/** Every backend, one line each; the native one with every instruction set this machine runs. */
import { createNativeBackend, instructionSets } from "../../src/backends/native/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { conformance } from "./conformance.ts";
import type { Implementation } from "./implementation.ts";

conformance({ name: "reference", create: async () => createReferenceBackend(), skips: {}, tolerances: {}, weightTolerance: () => 1e-5 });

const native = (instructionSet: string, threads: number): Implementation => ({
  name: `native, ${instructionSet}, ${threads} threads`,
  async create() {
    const made = createNativeBackend({ threads, instructionSet });
    if ("reason" in made) throw new Error(made.reason);
    return made.backend;
  },
  skips: {
    attentionBias: "attention and its gradient have kernels of their own",
    coarseMatmul: "copies are made of weights: src/backends/native/coarse.test.ts",
  },
  tolerances: {},
  // Activations are rounded to 8 bits where weights are quantised.
  weightTolerance: (format) => (["F32", "F16", "BF16"].includes(format) ? 1e-5 : 2e-2),
});

const found = instructionSets();
if ("reason" in found) conformance({ ...native("any", 1), unavailable: found.reason });
else found.sets.forEach((set, i) => conformance(native(set, i + 1)));

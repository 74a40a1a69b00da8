/** Every backend, one line each; the native one with every instruction set this machine runs, WebAssembly with and without relaxed SIMD. */
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { type CoreBackend, coreBackends } from "../backends.ts";
import { conformance } from "./conformance.ts";
import type { Implementation } from "./implementation.ts";

conformance({ name: "reference", create: async () => createReferenceBackend(), skips: {}, tolerances: {}, weightTolerance: () => 1e-5 });

const core = ({ name, create }: CoreBackend, threads: number): Implementation => ({
  name: `${name}, ${threads} threads`,
  create: () => create(threads),
  skips: {
    attentionBias: "attention and its gradient have kernels of their own",
    coarseMatmul: "copies are made of weights: src/backends/native/coarse.test.ts",
  },
  tolerances: {},
  // Activations are rounded to 8 bits where weights are quantised.
  weightTolerance: (format) => (["F32", "F16", "BF16"].includes(format) ? 1e-5 : 2e-2),
});

coreBackends.forEach((backend, i) => conformance(core(backend, (i % 3) + 1)));

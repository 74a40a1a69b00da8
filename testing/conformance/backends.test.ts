/** Every backend, one line each. */
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { conformance } from "./conformance.ts";

conformance({ name: "reference", create: async () => createReferenceBackend(), skips: {}, tolerances: {}, weightTolerance: () => 1e-5 });

// Tests lie beside the code they test; testing/ holds the oracles and the suites that span folders.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "testing/**/*.test.ts"],
    maxWorkers: 2,
    testTimeout: 30_000,
  },
});

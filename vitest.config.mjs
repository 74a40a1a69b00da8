// Tests lie beside the code they test; testing/ holds the oracles and the suites that span folders.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Examples in doc comments import the package by its name.
  resolve: { alias: { frugal: fileURLToPath(new URL("src/index.ts", import.meta.url)) } },
  test: {
    include: ["src/**/*.test.ts", "testing/**/*.test.ts", "bench/**/*.test.ts"],
    maxWorkers: 2,
    testTimeout: 30_000,
  },
});

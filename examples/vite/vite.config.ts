// What Frugal needs of Vite: three lines, each with its reason. A configuration is a default export, because Vite asks for one.
import { defineConfig } from "vite";

// Threads share memory, which browsers allow only pages that are isolated by these headers. Your host must send them too.
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

export default defineConfig({
  server: { headers },
  preview: { headers },
  // The engine's worker loads parts of itself when they are needed, which only modules can.
  worker: { format: "es" },
  // Bundled for the dev server, the package would look for its workers beside Vite's copy of it.
  optimizeDeps: { exclude: ["frugal"] },
});

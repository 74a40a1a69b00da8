// npm run bench:NAME: sets up, compiles bench/ where it changed, and runs bench/NAME.ts: node scripts/bench.mjs NAME [options of that].
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { newestChange } from "./freshness.mjs";
import { setupOrExit } from "./setup.mjs";

const path = (place) => fileURLToPath(new URL(`../${place}`, import.meta.url));
const [name, ...options] = process.argv.slice(2);

setupOrExit();
mkdirSync(path("bench/build"), { recursive: true }); // first: a new folder changes the time of bench/
const newest = String(newestChange(path("bench")));
let compiled;
try {
  compiled = readFileSync(path("bench/build/.built"), "utf8");
} catch {
  // Never compiled.
}
if (compiled !== newest) {
  const compiler = path("node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [compiler, "-p", path("bench/tsconfig.json")], { stdio: ["ignore", 2, 2] });
  if (status !== 0) process.exit(1);
  writeFileSync(path("bench/build/.built"), newest);
}
const bench = spawn(process.execPath, [path(`bench/build/${name}.js`), ...options], { stdio: "inherit" });
process.on("SIGINT", () => {}); // the terminal sends it to the child too, which ends its own
process.on("SIGTERM", () => bench.kill("SIGTERM"));
bench.on("exit", (code, signal) => (process.exitCode = code ?? (signal ? 1 : 0)));

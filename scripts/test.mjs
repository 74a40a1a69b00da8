// npm test: sets up, then runs the tests: npm test -- [options of `vitest run`].
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setupOrExit } from "./setup.mjs";

setupOrExit();
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, "run", ...process.argv.slice(2)], { stdio: "inherit" });
process.exitCode = status ?? 1;

/** What the binding promises to the process it is loaded into: it ends cleanly whatever was disposed, and too much asked for is an error. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { FrugalError } from "../../tensor/error.ts";
import { findAddon } from "./addon.ts";
import { createNativeBackend } from "./backend.ts";

const found = findAddon();
const path = fileURLToPath(new URL("../../../native/build/frugal.node", import.meta.url));
const start = `const addon = require(${JSON.stringify(path)}); const models = [1, 2, 3, 4].map((threads) => addon.create(threads, addon.sets()[0]));`;

test.skipIf("reason" in found).each([
  ["all are disposed", "Promise.all(models.map((model) => addon.dispose(model))).then(() => console.log('end'));"],
  ["some are disposed", "models.slice(2).forEach((model) => addon.dispose(model)); console.log('end');"],
  ["none is disposed", "console.log('end');"],
  ["it is told to end at once", "models.forEach((model) => addon.dispose(model)); console.log('end'); process.exit(0);"],
])("the process ends well where %s", (_, script) => {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["-e", start + script], {
    encoding: "utf8",
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: "end\n", stderr: "" });
});

test.skipIf("reason" in found || process.platform !== "linux")("too many threads for the system are an error, not the end", () => {
  const script = `const addon = require(${JSON.stringify(path)}); try { addon.create(1000, addon.sets()[0]); console.log("started"); } catch (error) { console.log(error.code); }`;
  const { status, stdout } = spawnSync("sh", ["-c", 'ulimit -v 4000000; exec "$0" -e "$1"', process.execPath, script], {
    encoding: "utf8",
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  expect([status, stdout]).toEqual([0, "FRUGAL_NATIVE\n"]);
});

test.skipIf("reason" in found)("threads out of range are refused", () => {
  for (const threads of [0, 1.5, 1025]) expect(() => createNativeBackend({ threads })).toThrow(FrugalError);
});

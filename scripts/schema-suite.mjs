// Fetches the test suite of JSON Schema, as the Python package jsonschema ships it with its sources, into the user's cache:
// node scripts/schema-suite.mjs. testing/conformance/schema-suite.test.ts runs it where it is there.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const version = "4.26.0";
const target = join(homedir(), ".cache", "frugal", "json-schema-suite");
const folder = mkdtempSync(join(tmpdir(), "schema-suite-"));
const run = (command, ...options) => {
  const { status } = spawnSync(command, options, { stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error(`${command} ${options.join(" ")} failed`);
};
try {
  run("python3", "-m", "pip", "download", `jsonschema==${version}`, "--no-deps", "--no-binary", ":all:", "-d", folder);
  run("tar", "xzf", join(folder, `jsonschema-${version}.tar.gz`), "-C", folder);
  mkdirSync(target, { recursive: true });
  cpSync(join(folder, `jsonschema-${version}`, "json", "tests"), target, { recursive: true });
  console.log(target);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

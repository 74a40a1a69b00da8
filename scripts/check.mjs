// npm run check: every check of the project, to the end even where one fails. The last line is `N passed, N failed`.
// npm run check -- --native adds the native core's sanitizer run, schemathesis on the server's API and installs in other runtimes, as continuous integration does.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setupOrExit } from "./setup.mjs";

const scratch = mkdtempSync(join(tmpdir(), "frugal-check-"));
const testReport = join(scratch, "tests.json");
const checks = [
  { name: "types", script: "types" },
  { name: "lint", script: "lint" },
  { name: "format", script: "format:check" },
  { name: "dead code", script: "dead" },
  { name: "the package", script: "package:check" },
  ...(process.argv.includes("--native")
    ? [
        { name: "native sanitizers", script: "test:native" },
        { name: "the server's API", script: "test:api" },
        { name: "installs in Node, Bun and Deno", script: "test:runtimes" },
      ]
    : []),
  {
    name: "tests",
    script: "test",
    options: ["--reporter=default", "--reporter=json", `--outputFile.json=${testReport}`],
    count: countTests,
  },
];

const total = { passed: 0, failed: 0 };
const failures = [];
setupOrExit();
for (const check of checks) {
  console.log(`\n== ${check.name}`);
  const { status } = spawnSync("npm", ["run", "--silent", check.script, "--", ...(check.options ?? [])], {
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  const { passed, failed } = check.count?.(status) ?? { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1 };
  total.passed += passed;
  total.failed += failed;
  if (failed > 0) failures.push(check.name);
}
rmSync(scratch, { recursive: true, force: true });
if (failures.length > 0) console.log(`\nfailed: ${failures.join(", ")}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;

/** Tests by the runner's own report; a runner that failed without a failing test (a file that did not load, no report) counts as one. */
function countTests(status) {
  try {
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(testReport, "utf8"));
    return { passed: numPassedTests, failed: status === 0 ? numFailedTests : Math.max(1, numFailedTests) };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

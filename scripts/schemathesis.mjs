// npm run test:api: schemathesis asks a running server everything that /openapi.json allows, and much that it forbids. No answer may be a
// fault of the server, of another status, type or shape than described, and what the schema forbids must be refused. Needs python3 with venv
// and pip; without, it says so and passes, but in continuous integration it must run. FRUGAL_API_EXAMPLES: cases an endpoint (default 15).
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setupOrExit } from "./setup.mjs";

const version = "4.32.5";
const root = fileURLToPath(new URL("..", import.meta.url));
const environment = join(root, "node_modules/.frugal/schemathesis");
const program = join(environment, process.platform === "win32" ? "Scripts/schemathesis.exe" : "bin/schemathesis");
// What the schema cannot say (a model's name, one of two fields) makes good data refused, so acceptance is not checked.
const checks = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "negative_data_rejection",
  "unsupported_method",
];

setupOrExit();
const problem = install();
if (problem === undefined) process.exitCode = await check();
else {
  console.log(`schemathesis did not run: ${problem}`);
  process.exitCode = process.env.CI ? 1 : 0;
}

/** The environment with schemathesis, made once for each version; answers why there is none. */
function install() {
  const stamp = join(environment, "installed");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === version && existsSync(program)) return undefined;
  rmSync(environment, { recursive: true, force: true });
  mkdirSync(environment, { recursive: true });
  const python = process.platform === "win32" ? "python" : "python3";
  const made = spawnSync(python, ["-m", "venv", environment], { encoding: "utf8" });
  if (made.status !== 0) return `no environment (${made.error?.message ?? made.stdout + made.stderr}); install python3 with venv`;
  const pip = join(program, "..", "pip");
  const installed = spawnSync(pip, ["install", "--quiet", "--disable-pip-version-check", `schemathesis==${version}`], { encoding: "utf8" });
  if (installed.status !== 0) return `pip could not install it: ${installed.stderr.trim().split("\n").at(-1)}`;
  writeFileSync(stamp, version);
  return undefined;
}

/** A text model of little context, so that each text is short, and an encoder, behind one server. */
async function check() {
  const { load, serve } = await import(new URL("../dist/index.js", import.meta.url).href);
  const folder = mkdtempSync(join(tmpdir(), "frugal-api-"));
  const stories = await load(join(root, "models/stories/stories.gguf"), { context: 48, threads: 1 });
  const encoder = await load(join(root, "testing/fixtures/families/bert"), { threads: 1 });
  const server = await serve({ stories, encoder }, { port: 0, log: "error", adapterDirectory: folder });
  const examples = process.env.FRUGAL_API_EXAMPLES ?? "15";
  const options = [
    `run ${server.url}/openapi.json --phases examples,coverage,fuzzing --max-examples ${examples} --seed 1 --no-shrink`,
    "--continue-on-failure --request-timeout 30 --suppress-health-check all --generation-database none --checks",
  ].flatMap((line) => line.split(" "));
  const child = spawn(program, [...options, checks.join(",")], {
    cwd: folder,
    stdio: "inherit",
    env: { ...process.env, NO_COLOR: "1", PYTHONHASHSEED: "0" },
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  const left = server.active();
  await server.close({ grace: 0 });
  await Promise.all([stories.dispose(), encoder.dispose()]);
  rmSync(folder, { recursive: true, force: true });
  if (left > 0) console.log(`${left} requests were still under way`);
  return code === 0 && left === 0 ? 0 : 1;
}

// node scripts/runtimes.mjs [node] [bun] [deno]: packs the package, installs it into an empty project without install scripts and without a
// compiler on the PATH, and has each runtime load, generate, abort, constrain, serve and dispose there, on every backend. All must say what
// Node says. Bun and Deno come from the npm registry, into the same temporary folder. The last line is `N passed, N failed`.
//   --native ARCHIVE   the platform's package (dist-packages/...tgz of scripts/prebuild.mjs); default: made from this checkout's build
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pack } from "./pack.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const versions = { bun: "1.4.5", deno: "2.9.6" };
const limit = 120_000;

/** How a runtime is told to run a program; its binary lies in its platform's package. */
const runtimes = {
  node: () => [process.execPath],
  bun: (modules) => [platformBinary(modules, "@oven", "bun"), "run"],
  deno: (modules) => [platformBinary(modules, "@deno", "deno"), "run", "--allow-all", "--node-modules-dir=manual"],
};

function platformBinary(modules, scope, name) {
  const packages = existsSync(join(modules, scope)) ? readdirSync(join(modules, scope)) : [];
  const paths = packages.flatMap((folder) => [join(modules, scope, folder, name), join(modules, scope, folder, "bin", name)]);
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`runtimes: ${name} has no package for this platform in ${modules}`);
  return found;
}

function run([command, ...words], options) {
  const { status, signal, stdout, stderr, error } = spawnSync(command, words, { encoding: "utf8", timeout: limit, ...options });
  if (status !== 0)
    throw new Error(`${command} ${words.join(" ")} ended with ${error?.code ?? signal ?? status}:\n${stdout}${stderr}`.slice(0, 3000));
  return stdout;
}

/** An empty project with the package and its dependencies in it. `PATH` has node alone. */
export async function installProject({ folder, wanted = [], native }) {
  const archives = join(folder, "archives");
  const project = join(folder, "project");
  for (const made of [archives, project, join(folder, "path")]) mkdirSync(made, { recursive: true });
  if (native === undefined) {
    const { packNative } = await import("./prebuild.mjs");
    const { nativePackage, nativePlatforms, platformHere } = await import("../dist/backends/native/packages.js");
    const [here, binary] = [platformHere(), join(root, "native/build/frugal.node")];
    if (nativePlatforms[here] && existsSync(binary))
      packNative(here, nativePlatforms[here], nativePackage(here), binary, { out: archives, local: true });
  } else if (native !== "none") copyFileSync(native, join(archives, native.split(/[\\/]/).at(-1)));
  await pack(archives);
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
  const files = readdirSync(archives).filter((name) => name.endsWith(".tgz"));
  const others = wanted.filter((name) => versions[name]).map((name) => `${name}@${versions[name]}`);
  const words = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  run(["npm", ...words, ...files.map((name) => join(archives, name)), ...others], { cwd: project, shell: process.platform === "win32" });
  symlinkSync(process.execPath, join(folder, "path", "node"));
  return { project, env: { ...process.env, PATH: join(folder, "path"), CXX: "", NODE_OPTIONS: "" }, hasNative: files.length > 1 };
}

async function main(words) {
  const at = words.indexOf("--native");
  const native = at < 0 ? undefined : words.splice(at, 2)[1];
  const wanted = words.length > 0 ? words : Object.keys(runtimes);
  const unknown = wanted.find((name) => !Object.hasOwn(runtimes, name));
  if (unknown !== undefined) throw new Error(`runtimes: unknown runtime "${unknown}"; there are ${Object.keys(runtimes).join(", ")}`);
  const folder = mkdtempSync(join(tmpdir(), "frugal-runtimes-"));
  let failed = 0;
  let passed = 0;
  const check = (name, work) => {
    const started = performance.now();
    try {
      console.log(`${name}: ${work() ?? "ok"} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
      passed++;
    } catch (error) {
      console.log(`${name}: FAILED\n${error.message}`);
      failed++;
    }
  };
  try {
    const { project, env, hasNative } = await installProject({ folder, wanted, native });
    const modules = join(project, "node_modules");
    cpSync(join(root, "testing/runtimes/program.mjs"), join(project, "program.mjs"));
    const backends = [...(hasNative ? ["native"] : []), "wasm", "reference"];
    const said = new Map();
    // The reference backend is plain TypeScript: once is enough.
    for (const backend of backends)
      for (const name of backend === "reference" ? ["node"] : ["node", ...wanted.filter((other) => other !== "node")])
        check(`${name} ${backend}`, () => {
          const answer = JSON.parse(run([...runtimes[name](modules), "program.mjs", backend], { cwd: project, env }));
          if (answer.backend.name !== backend) throw new Error(`${answer.backend.name} ran: ${answer.backend.description}`);
          const {
            backend: { description },
            ...heard
          } = answer;
          const text = JSON.stringify(heard);
          if (name === "node") said.set(backend, text);
          else if (said.get(backend) !== text) throw new Error(`says ${text}\nbut Node said ${said.get(backend)}`);
          return description;
        });
    for (const name of wanted)
      check(`${name}: the command line`, () => {
        const line = [...runtimes[name](modules), join(modules, "frugal/bin/frugal"), "run", "stories", "Once upon a time"];
        const { text } = JSON.parse(run([...line, "--max-tokens", "8", "--seed", "1", "--json"], { cwd: project, env }));
        if (!text) throw new Error("wrote nothing");
      });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });

// Set-up: dependencies, dist, native core. Plain Node, so that it runs on a fresh clone; does nothing, quickly, where nothing changed.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.mjs";
import { distIsFresh, newestChange, newestSource } from "./freshness.mjs";

const projectRoot = dirname(dirname(fileURLToPath(import.meta.url)));

/** A step of set-up that the rest cannot do without has failed; the message is for people. */
export class SetupError extends Error {}

/** Sets a checkout or an installed package up. `say` gets one line a thing done. Returns the backend that will run, and why. */
export function setup({ root = projectRoot, say = console.error } = {}) {
  const started = performance.now();
  const isCheckout = existsSync(join(root, "src"));
  if (isCheckout) {
    if (!dependenciesAreInstalled(root)) installDependencies(root, say);
    if (!distIsFresh(root)) compile(root, say);
  }
  const backend = buildNative(root, say);
  say(`set-up: done in ${((performance.now() - started) / 1000).toFixed(1)} s; backend: ${backend.name} (${backend.reason})`);
  return backend;
}

/** Whether node_modules holds every package of package-lock.json in its version, by npm's own record of what it installed. */
export function dependenciesAreInstalled(root) {
  try {
    const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
    const installed = JSON.parse(readFileSync(join(root, "node_modules/.package-lock.json"), "utf8")).packages;
    return Object.entries(wanted).every(
      ([path, entry]) => path === "" || (installed[path] ? installed[path].version === entry.version : entry.optional || entry.peer),
    );
  } catch {
    return false;
  }
}

function installDependencies(root, say) {
  say("set-up: installing dependencies (npm ci)");
  const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (status !== 0) throw new SetupError("set-up: npm ci failed; its messages are above. Check the network and try again.");
}

function compile(root, say) {
  const newest = newestSource(root);
  const fresh = join(root, `node_modules/.frugal/dist-${process.pid}`);
  const old = `${fresh}-old`;
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const { status, stdout } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json", "--outDir", fresh, "--pretty", "false"], {
    cwd: root,
    encoding: "utf8",
  });
  if (!existsSync(fresh)) throw new SetupError(`set-up: TypeScript wrote nothing:\n${stdout}`);
  const problem = bundle(fresh);
  if (problem !== undefined) throw new SetupError(`set-up: the command line was not bundled:\n${problem}`);
  const browser = bundleForBrowsers(root, fresh);
  if (browser !== undefined) throw new SetupError(`set-up: what browsers load was not bundled:\n${browser}`);
  // Written elsewhere and moved into place, so that a process that starts meanwhile never sees half of it.
  writeFileSync(join(fresh, ".built"), String(newest));
  try {
    if (existsSync(join(root, "dist"))) renameSync(join(root, "dist"), old);
    renameSync(fresh, join(root, "dist"));
  } catch (error) {
    if (!distIsFresh(root)) throw error; // else another process has just put the same into place
  }
  for (const folder of [fresh, old]) rmSync(folder, { recursive: true, force: true });
  if (status === 0) return say("set-up: compiled TypeScript into dist");
  const faults = stdout.trim().split("\n");
  say(`set-up: compiled TypeScript into dist with ${faults.length} type errors; run npm run types. The first: ${faults[0]}`);
}

/** What pages import; in a process of its own, as the bundler has no call that waits. Answers what went wrong, if anything did. */
function bundleForBrowsers(root, dist) {
  if (!existsSync(join(dist, "browser/index.js"))) return undefined;
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "scripts/bundle-browser.mjs"), dist], {
    cwd: root,
    encoding: "utf8",
  });
  return status === 0 ? undefined : stdout + stderr;
}

// Clang first: GCC 12 spills registers in the wide tiles.
const compilers = ["clang++", ...[20, 19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`), "g++"];

/** The C++ compiler to build with: $CXX, else the first known one on the PATH; undefined where there is none. */
export function findCompiler({ CXX, PATH = "" } = process.env) {
  return CXX || compilers.find((name) => isOnPath(name, PATH));
}

function isOnPath(name, PATH = process.env.PATH ?? "") {
  const isExecutable = (path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return PATH.split(delimiter).some((folder) => isExecutable(join(folder, name)));
}

/** What runs where there is no native core: WebAssembly, which needs no compiler, and the slow reference where even that is missing. */
function withoutNative(root, reason) {
  const hasModule = existsSync(join(root, "wasm/frugal-simd.wasm"));
  return hasModule ? { name: "wasm", reason: `native is faster: ${reason}` } : { name: "reference", reason: `slow: ${reason}` };
}

/** Builds the native core if it can. Never fails set-up: without it another backend runs. */
function buildNative(root, say) {
  const script = join(root, "native/build.mjs");
  if (!existsSync(script)) return withoutNative(root, "native/build.mjs is missing, so there is no native core to build");
  const compiler = findCompiler();
  if (!compiler) return withoutNative(root, "no C++ compiler found; install clang or g++ and run npm run setup");
  mkdirSync(join(root, "native/build"), { recursive: true }); // first: a new folder changes the time of native/
  const hasMpi = isOnPath("mpicc");
  const inputs = JSON.stringify([newestChange(join(root, "native")), compiler, process.version, process.arch, hasMpi]);
  const record = join(root, "native/build/.setup.json");
  const known = readRecord(record);
  if (known?.inputs === inputs) return known.backend;
  say(`set-up: building the native core with ${compiler}`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, CXX: compiler },
    maxBuffer: 64 << 20,
  });
  if (status !== 0) say(`${stdout}${stderr}`.trim().split("\n").slice(-20).join("\n"));
  const backend =
    status === 0
      ? { name: "native", reason: `built with ${compiler}` }
      : withoutNative(root, `the native core did not build with ${compiler}; run node native/build.mjs to see why`);
  if (hasMpi) buildMpi(root, say, compiler);
  writeFileSync(record, JSON.stringify({ inputs, backend }));
  return backend;
}

/** The addon for training over Open MPI, where that is installed. Never fails set-up: without it training runs on one machine. */
function buildMpi(root, say, compiler) {
  const script = join(root, "native/build-mpi.mjs");
  if (!existsSync(script)) return;
  const { status, stderr } = spawnSync(process.execPath, [script], { cwd: root, encoding: "utf8", env: { ...process.env, CXX: compiler } });
  say(status === 0 ? "set-up: built the addon for Open MPI" : `set-up: no training over Open MPI: ${stderr.trim().split("\n")[0]}`);
}

function readRecord(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Runs set-up for another script: a failure is one clear message and exit code 1. */
export function setupOrExit(options) {
  try {
    return setup(options);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) setupOrExit({ say: console.log });

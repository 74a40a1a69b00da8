// npm run test:native: the native core's own checks, one line a part; ends with 1 where one failed.
//   sanitizers   every kernel set of this processor under address and undefined-behaviour checks
//   threads      the thread pool under data-race checks
//   gcc          the same sources compile without a warning with g++, and its kernels pass the tests
//   symbols      no function is merged across instruction sets, whichever compiler built them
//   arm64        the same tests built for 64-bit ARM, under emulation of a processor for each kernel set
//   wasm         the WebAssembly modules of wasm/ are, byte by byte, what the sources give
//   fuzz         programs and stored blocks of any bytes, for FRUGAL_FUZZ_SECONDS (60 in continuous integration, else 5)
// node native/check.mjs PART... runs only those.
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { sharedSymbols } from "./check-symbols.mjs";

const root = fileURLToPath(new URL(".", import.meta.url));
const built = join(root, "build");
const inCi = Boolean(process.env.CI);
const has = (compiler) => spawnSync(compiler, ["--version"]).status === 0;
const clang = ["clang++", "clang++-16", "clang++-19", "clang++-18", "clang++-17"].find(has);

/** For each kernel set of ARM64 a processor that has it and no better one, and the tests to run: all, or those whose names hold a word. */
const integers = "product quantize coarse expert picked calibrate block_codes attention_cache weights gather math sum_ sets pool_";
const emulated = { neon_i8mm: ["max", ""], neon_dot: ["neoverse-n1", integers], neon: ["cortex-a72", integers] };

/** What a part says when it can't run here; in continuous integration it must. */
class Missing extends Error {}

const parts = {
  sanitizers() {
    build(["--sanitize", "--test"]);
    return run(join(built, "address/kernel-test"));
  },
  threads() {
    needClang();
    build(["--sanitize=thread", "--test"]);
    return run(join(built, "thread/kernel-test"));
  },
  gcc() {
    if (!has("g++")) throw new Missing("g++ is not installed");
    build(["--folder", "gcc"], { CXX: "g++" });
    build(["--folder", "gcc", "--test"], { CXX: "g++" });
    return run(join(built, "gcc/kernel-test"));
  },
  symbols() {
    build([]);
    const folders = ["", "gcc"].map((name) => join(built, name)).filter((folder) => existsSync(join(folder, "frugal.node")));
    const shared = folders.flatMap((folder) => sharedSymbols(folder));
    if (shared.length > 0) throw new Error(`merged across instruction sets:\n${shared.join("\n")}`);
    return `none in ${folders.length} builds`;
  },
  async arm64() {
    const tools = ["aarch64-linux-gnu-g++", "qemu-aarch64-static"];
    const missing = tools.find((tool) => !has(tool));
    if (missing !== undefined) throw new Missing(`${missing} is not installed`);
    // Clang too builds with the libraries that come with the other compiler.
    build(["--test", "--target", "aarch64-linux-gnu", "--folder", "arm64"], clang === undefined ? { CXX: tools[0] } : {});
    const shared = sharedSymbols(join(built, "arm64"));
    if (shared.length > 0) throw new Error(`merged across instruction sets:\n${shared.join("\n")}`);
    return (await Promise.all(Object.keys(emulated).map(emulate))).join("; ");
  },
  wasm() {
    // The libraries' version is the compiler's: another makes other bytes.
    const needed = ["/usr/lib/llvm-16/include/wasm32-wasi/c++/v1/vector", "/usr/include/wasm32-wasi/stdlib.h"];
    if (!has("clang++-16") || !has("wasm-ld-16") || !needed.every(existsSync))
      throw new Missing("clang-16, lld-16, wasi-libc and libc++-16-dev-wasm32 are not all installed");
    return run(process.execPath, [join(root, "build-wasm.mjs"), "--check"]);
  },
  fuzz() {
    needClang();
    const seconds = Number(process.env.FRUGAL_FUZZ_SECONDS ?? (inCi ? 60 : 5));
    if (!Number.isInteger(seconds) || seconds < 1)
      throw new Error(`FRUGAL_FUZZ_SECONDS must be a whole number above 0, got "${process.env.FRUGAL_FUZZ_SECONDS}"`);
    build(["--fuzz"]);
    const findings = join(built, "address/fuzz-findings");
    mkdirSync(findings, { recursive: true });
    const limits = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=1500", "-len_control=0", "-seed=1", "-print_final_stats=1"];
    const log = run(
      join(built, "address/fuzz"),
      [seeds(), `-max_total_time=${seconds}`, `-artifact_prefix=${findings}/`, ...limits],
      "stderr",
    );
    return `${/stat::number_of_executed_units:\s*(\d+)/.exec(log)?.[1]} inputs in ${seconds} s`;
  },
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in parts));
if (unknown.length > 0) {
  console.error(`native: no part "${unknown[0]}"; there are ${Object.keys(parts).join(", ")}`);
  process.exit(2);
}
for (const name of wanted.length > 0 ? wanted : Object.keys(parts)) {
  const started = performance.now();
  const say = (word, text) => console.log(`native ${name}: ${word}: ${text} (${((performance.now() - started) / 1000).toFixed(0)} s)`);
  try {
    say("passed", await parts[name]());
  } catch (error) {
    if (error instanceof Missing && !inCi) say("skipped", error.message);
    else {
      say("failed", error.message);
      process.exitCode = 1;
    }
  }
}

function needClang() {
  if (clang === undefined) throw new Missing("clang is not installed");
}

function build(options, environment = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "build.mjs"), ...options], {
    encoding: "utf8",
    env: { ...process.env, ...(clang && { CXX: clang }), ...environment },
    maxBuffer: 1 << 26,
  });
  if (status !== 0) throw new Error(`node native/build.mjs ${options.join(" ")} failed\n${stdout}${stderr}`);
}

/** Runs tests on an emulated processor whose best kernel set is `set`. */
async function emulate(set) {
  const [processor, names] = emulated[set];
  const words = ["-cpu", processor, join(built, "arm64/kernel-test"), ...names.split(" ").filter(Boolean)];
  const options = { env: { ...process.env, FRUGAL_TEST_SET: set }, maxBuffer: 1 << 28, timeout: 480_000 };
  try {
    return `${set} on ${processor}: ${(await promisify(execFile)("qemu-aarch64-static", words, options)).stdout.trim()}`;
  } catch ({ code, signal, stdout = "", stderr = "" }) {
    throw new Error(`${set} on ${processor} ended with ${signal ?? code}\n${`${stdout}${stderr}`.slice(-6000)}`);
  }
}

/** Runs a program and returns what it printed; throws its last words where it fails. */
function run(program, options = [], stream = "stdout") {
  const { status, signal, stdout, stderr } = spawnSync(program, options, {
    encoding: "utf8",
    env: { UBSAN_OPTIONS: "print_stacktrace=1", ...process.env },
    maxBuffer: 1 << 28,
    timeout: 240_000,
  });
  if (status !== 0) throw new Error(`${program} ended with ${signal ?? status}\n${`${stdout}${stderr}`.slice(-6000)}`);
  return (stream === "stdout" ? stdout : stderr).trim();
}

/** A folder of inputs to begin with: the same random bytes at every first start; what fuzzing finds is kept beside them. */
function seeds() {
  const folder = join(built, "address/fuzz-inputs");
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length === 0) {
    let state = 1;
    for (let file = 0; file < 300; file++) {
      const bytes = Uint8Array.from({ length: 40 + 4 * file }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24);
      writeFileSync(join(folder, `seed-${file}`), bytes);
    }
  }
  return folder;
}

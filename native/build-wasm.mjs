// Builds the core as WebAssembly into wasm/: `node native/build-wasm.mjs`; with --check it only compares what the tools here make with what is
// committed. Two modules, with and without relaxed SIMD, both for memory that threads share; wasm/build.json records tools, sizes and hashes.
// Needs Debian 12's clang-16, lld-16, wasi-libc and libc++-16-dev-wasm32: other versions make other bytes.
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const output = join(dirname(root), "wasm");
const compiler = process.env.FRUGAL_WASM_CXX ?? "clang++-16";

// A stack of its own for each thread is taken from the heap (src/backends/wasm/thread.ts); the first one is the driver's.
const stackBytes = 1 << 18;
// What is hot with -O3 gives steps of 2 to 4 texts 15 % in the relaxed module; the other would pass 400 KB by it.
const modules = { "frugal-simd.wasm": ["-O2"], "frugal-relaxed.wasm": ["-O3", "-mrelaxed-simd"] };
const libraries = ["/usr/lib/llvm-16/include/wasm32-wasi/c++/v1"];
const flags = [
  ..."--target=wasm32-wasi --sysroot=/usr -std=c++20 -msimd128 -mbulk-memory -matomics".split(" "),
  ..."-fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-math-errno -ffp-contract=off -fvisibility=hidden".split(" "),
  ..."-Wall -Wextra -Werror -DFRUGAL_ISA=portable".split(" "),
  ...libraries.flatMap((path) => ["-isystem", path]),
  // Paths of this machine must not be in the bytes.
  `-ffile-prefix-map=${root}=native`,
];
const linking = [
  ..."--target=wasm32-wasi --sysroot=/usr -nostartfiles -nodefaultlibs".split(" "),
  ...["--no-entry", "--strip-all", "--gc-sections", `-z,stack-size=${stackBytes}`, "--stack-first"].map((word) => `-Wl,${word}`),
  // The C library was built without atomics; heap.cpp locks around it, so the linker's question is answered.
  ...["--import-memory", "--shared-memory", "--max-memory=4294967296", "--no-check-features"].map((word) => `-Wl,${word}`),
  ...["__stack_pointer"].map((name) => `-Wl,--export=${name}`),
];
// Where system calls and threads of the system stand, native/wasm/ has a file of the same name.
const ofTheSystem = new Set(["runtime/pool.cpp", "runtime/memory.cpp", "runtime/fill.cpp", "runtime/calibrate.cpp"]);

// Where time is spent. They are compiled as one, so that what their headers define is there once; everything else is made small.
const fast = "attention attention-gradient coarse gemm loss low-rank map matmul norm quantize"
  .split(" ")
  .map((name) => `kernels/${name}.cpp`);

const sources = ["kernels", "runtime", "wasm"].flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(".cpp"))
    .map((file) => `${folder}/${file}`)
    .filter((file) => !ofTheSystem.has(file) && !fast.includes(file))
    .sort(),
);

const scratch = mkdtempSync(join(tmpdir(), "frugal-wasm-"));
try {
  const version = spawnSync(compiler, ["--version"], { encoding: "utf8" });
  if (version.status !== 0) stop(`${compiler} is not installed; see the first lines of this file for what is needed`);
  const built = {};
  for (const [name, more] of Object.entries(modules)) built[name] = await build(name, more);
  const record = {
    tools: { compiler: version.stdout.split("\n")[0], linker: firstLine("wasm-ld-16", ["--version"]) },
    flags: flags.filter((flag) => !flag.startsWith("-ffile-prefix-map")),
    linking,
    modules: Object.fromEntries(
      Object.entries(built).map(([name, bytes]) => [
        name,
        { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") },
      ]),
    ),
  };
  if (process.argv.includes("--check")) check(built, record);
  else {
    mkdirSync(output, { recursive: true });
    for (const [name, bytes] of Object.entries(built)) writeFileSync(join(output, name), bytes);
    writeFileSync(join(output, "build.json"), `${JSON.stringify(record, null, 2)}\n`);
    console.log(
      `wasm: ${Object.entries(built)
        .map(([name, { length }]) => `${name} ${length} bytes`)
        .join(", ")}`,
    );
  }
} finally {
  if (!process.env.KEEP) rmSync(scratch, { recursive: true, force: true });
}

async function build(name, more) {
  const folder = join(scratch, name);
  mkdirSync(folder);
  const together = join(folder, "fast.cpp");
  writeFileSync(together, fast.map((file) => `#include "${join(root, file)}"\n`).join(""));
  const units = [[together, more[0]], ...sources.map((file) => [join(root, file), "-Os"])];
  const objects = units.map((_, i) => join(folder, `${i}.o`));
  const waiting = units.map(([file, level], i) => [file, level, objects[i]]).reverse();
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      for (let next = waiting.pop(); next; next = waiting.pop())
        await run(compiler, [...flags, ...more, next[1], "-c", next[0], "-o", next[2]]);
    }),
  );
  const target = join(folder, name);
  await run(compiler, [...linking, ...objects, "-lc++", "-lc++abi", "-lc", "-o", target]);
  return readFileSync(target);
}

function check(built, record) {
  const committed = existsSync(join(output, "build.json")) ? readFileSync(join(output, "build.json"), "utf8") : "";
  const different = Object.keys(modules).filter(
    (name) => !existsSync(join(output, name)) || !readFileSync(join(output, name)).equals(built[name]),
  );
  if (different.length > 0)
    stop(`${different.join(" and ")} differ from what these sources give; run node native/build-wasm.mjs and commit wasm/`);
  if (committed !== `${JSON.stringify(record, null, 2)}\n`)
    stop("wasm/build.json tells of other tools or flags; run node native/build-wasm.mjs");
  console.log(`wasm: ${Object.keys(modules).join(" and ")} are what the sources give`);
}

function run(command, words) {
  return new Promise((done, failed) => {
    execFile(command, words, { maxBuffer: 1 << 26 }, (error, _, stderr) =>
      error ? failed(new Error(`${words.at(-3)}\n${stderr.slice(0, 4000)}`)) : done(),
    );
  });
}

function firstLine(command, words) {
  return String(spawnSync(command, words, { encoding: "utf8" }).stdout).split("\n")[0];
}

function stop(message) {
  console.error(`wasm: ${message}`);
  process.exit(1);
}

// Builds the native core: `node native/build.mjs`. Objects are rebuilt only where a source they include is newer.
//   --sanitize          with address and undefined-behaviour checks, into build/address
//   --sanitize=thread   with data-race checks, into build/thread: the thread pool and its test, since kernels share nothing else
//   --test              the tests of native/test as the program kernel-test, instead of the module for Node
//   --fuzz              the fuzz target of native/test/fuzz as the program fuzz (clang only)
//   --folder NAME       into build/NAME
// Warnings are errors in all of these and in continuous integration, not where a user builds with a compiler nobody has tried.
// Prints one line a problem and exits 1; the rest of Frugal then runs on the reference backend.
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const options = readOptions(process.argv.slice(2));
const output = join(root, "build", options.folder);

const compilers = ["clang++", "clang++-19", "clang++-18", "clang++-17", "clang++-16", "clang++-15", "clang++-14", "g++", "c++"];
const compiler = [process.env.CXX, ...compilers].find((name) => name && spawnSync(name, ["--version"]).status === 0);
if (!compiler) stop(`no C++ compiler found (looked for ${compilers.join(", ")}); install clang or g++ for the fast backend`);
const clang = /clang/.test(compiler) || /clang/.test(String(spawnSync(compiler, ["--version"]).stdout));
if (options.product === "fuzz" && !clang) stop(`the fuzz target needs clang, not ${compiler}`);
const headers = [join(dirname(dirname(process.execPath)), "include", "node"), "/usr/include/node", "/usr/local/include/node"].find(
  (folder) => existsSync(join(folder, "node_api.h")),
);
if (!headers) stop(`node_api.h not found beside ${process.execPath}; install Node's headers`);

// Kernels are compiled once for each instruction set, in a namespace of their own; no contraction, so that all sets round as written.
// The set that every processor runs comes first: were a function merged across objects after all, the linker would keep this one.
const sets = {
  portable: [],
  ...(process.arch === "x64" && {
    avx2: ["-mavx2", "-mfma", "-mf16c", "-mbmi2"],
    avx512: [
      ..."-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx2 -mfma -mf16c -mbmi2 -mprefer-vector-width=512".split(" "),
      // GCC 12's own AVX-512 headers read a variable before it is set (GCC bug 105593).
      ...(clang ? [] : ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]),
    ],
  }),
};
const strict = options.sanitize || options.product !== "frugal.node" || options.folder !== "" || process.env.CI;
const sanitizers = {
  // Coverage counters cost tests little, and the fuzz target shares the objects.
  address: `-fsanitize=address,undefined${clang ? ",fuzzer-no-link" : ""}`,
  thread: "-fsanitize=thread",
}[options.sanitize];
const common = [
  ..."-std=c++20 -fPIC -fvisibility=hidden -Wall -Wextra -Wno-psabi".split(" "),
  ...(strict ? ["-Werror"] : []),
  ...(clang ? [] : ["-Wno-unknown-pragmas", "-Wno-class-memaccess"]),
  ...(sanitizers
    ? [sanitizers, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", clang ? "-gline-tables-only" : "-g1", "-O1"]
    : ["-O3"]),
];
const kernelFlags = [...common, "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-fno-math-errno"];

const sources = (folder) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(".cpp"))
    .map((file) => join(folder, file));
const unit = (file, flags, suffix = "") => ({ file, object: `${file.replace(/\W/g, "_")}${suffix}.o`, flags });
const products = {
  "frugal.node": () => sources("bindings").map((file) => unit(file, [...common, `-I${headers}`, "-DNAPI_VERSION=9"])),
  "kernel-test": () => sources("test").map((file) => unit(file, common)),
  fuzz: () =>
    [...sources("test/fuzz"), ...["random", "stored"].map((name) => `test/${name}.cpp`)]
      .filter((file) => existsSync(join(root, file)))
      .map((file) => unit(file, common)),
};
const core = () => [
  ...Object.entries(sets).flatMap(([set, flags]) =>
    sources("kernels").map((file) => unit(file, [...kernelFlags, ...flags, `-DFRUGAL_ISA=${set}`], `.${set}`)),
  ),
  ...sources("runtime").map((file) => unit(file, common)),
];
const threadUnits = () => ["runtime/pool.cpp", "test/main.cpp", "test/pool.cpp"].map((file) => unit(file, common));
const units = options.sanitize === "thread" ? threadUnits() : [...core(), ...products[options.product]()];

mkdirSync(output, { recursive: true });
const age = (file) => statSync(file).mtimeMs;
const stampFile = ({ object }) => join(output, object.replace(/o$/, "flags"));
const stampOf = ({ flags }) => `${compiler} ${flags.join(" ")}`;
const outdated = (unit) => {
  const path = join(output, unit.object),
    dependencies = path.replace(/o$/, "d");
  if (![path, dependencies, stampFile(unit)].every(existsSync) || readFileSync(stampFile(unit), "utf8") !== stampOf(unit)) return true;
  const built = age(path);
  const files = readFileSync(dependencies, "utf8").replace(/\\\n/g, " ").split(/\s+/).slice(1).filter(Boolean);
  // A copied build folder speaks of the sources it was copied from.
  if (!files.includes(join(root, unit.file))) return true;
  return files.some((file) => !existsSync(file) || age(file) > built);
};
const compile = (unit) =>
  new Promise((done, failed) => {
    const path = join(output, unit.object);
    const words = [...unit.flags, "-MMD", "-MF", path.replace(/o$/, "d"), "-c", join(root, unit.file), "-o", path];
    execFile(compiler, words, { maxBuffer: 1 << 26 }, (error, _, stderr) => {
      if (error) return failed(new Error(`${unit.file} does not compile with ${compiler}\n${stderr.slice(0, 8000)}`));
      if (stderr) console.error(stderr);
      writeFileSync(stampFile(unit), stampOf(unit));
      done();
    });
  });

try {
  const waiting = units.filter(outdated);
  const total = waiting.length;
  // The slowest last, because the list is taken from its end.
  waiting.sort((a, b) => a.file.includes("matmul") - b.file.includes("matmul"));
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      for (let next = waiting.pop(); next; next = waiting.pop()) await compile(next);
    }),
  );
  const target = join(output, options.product);
  if (total > 0 || !existsSync(target) || units.some(({ object }) => age(join(output, object)) > age(target))) {
    const shared =
      options.product === "frugal.node" ? (process.platform === "darwin" ? ["-shared", "-undefined", "dynamic_lookup"] : ["-shared"]) : [];
    const checks = sanitizers
      ? [options.product === "fuzz" ? sanitizers.replace("-no-link", "") : sanitizers.replace(",fuzzer-no-link", "")]
      : [];
    const words = [...units.map(({ object }) => join(output, object)), ...checks, "-pthread", ...shared, "-o", `${target}.part`];
    const linked = spawnSync(compiler, words, { encoding: "utf8" });
    if (linked.status !== 0) throw new Error(`linking failed\n${linked.stderr}`);
    renameSync(`${target}.part`, target);
  }
  const place = resolve(target).replace(`${dirname(root)}/`, "");
  console.log(`native: ${place} is ready (${compiler}, ${Object.keys(sets).join(", ")}; ${total} of ${units.length} files compiled)`);
} catch (error) {
  stop(error.message);
}

function readOptions(words) {
  const read = { sanitize: undefined, product: "frugal.node", folder: undefined };
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "--sanitize") read.sanitize = "address";
    else if (word === "--sanitize=thread") read.sanitize = "thread";
    else if (word === "--test") read.product = "kernel-test";
    else if (word === "--fuzz") [read.product, read.sanitize] = ["fuzz", "address"];
    else if (word === "--folder" && /^[\w-]+$/.test(words[0] ?? "")) read.folder = words.shift();
    else stop(`build: unknown option "${word}"; there are --sanitize[=thread], --test, --fuzz and --folder NAME`);
  }
  if (read.sanitize === "thread" && read.product !== "kernel-test") stop("build: --sanitize=thread is for --test");
  read.folder ??= read.sanitize ?? "";
  return read;
}

function stop(message) {
  console.error(`native: ${message}`);
  process.exit(1);
}

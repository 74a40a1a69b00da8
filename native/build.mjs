// Builds the native core: `node native/build.mjs`. Objects are rebuilt only where a source they include is newer.
//   --sanitize          with address and undefined-behaviour checks, into build/address
//   --sanitize=thread   with data-race checks, into build/thread: the thread pool and its test, since kernels share nothing else
//   --test              the tests of native/test as the program kernel-test, instead of the module for Node
//   --fuzz              the fuzz target of native/test/fuzz as the program fuzz (clang only)
//   --folder NAME       into build/NAME
//   --target TRIPLE     for another machine: aarch64-linux-gnu (clang with the libraries of that system, or its g++), or one of zig's where CXX
//                       is zig ("zig c++"), as aarch64-macos; tests are linked statically, so that an emulator runs them
// Warnings are errors in all of these and in continuous integration, not where a user builds with a compiler nobody has tried.
// Prints one line a problem and exits 1; the rest of Frugal then runs on the reference backend.
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { architectureOf, commonFlags, compilerKind, kernelFlags, kernelSets } from "./sets.mjs";

const root = dirname(fileURLToPath(import.meta.url));
const options = readOptions(process.argv.slice(2));
const output = join(root, "build", options.folder);

const { target } = options;
const compilers = ["clang++", "clang++-19", "clang++-18", "clang++-17", "clang++-16", "clang++-15", "clang++-14"];
const own = target === undefined ? ["g++", "c++"] : [`${target}-g++`];
const said = (command) => spawnSync(command[0], [...command.slice(1), "--version"], { encoding: "utf8" });
const found = [process.env.CXX, ...compilers, ...own].filter(Boolean).find((name) => said(name.split(" ")).status === 0);
if (!found) stop(`no C++ compiler found (looked for ${[...compilers, ...own].join(", ")}); install clang or g++ for the fast backend`);
const [compiler, ...before] = found.split(" ");
const kind = compilerKind(found, said(found.split(" ")).stdout);
const clang = kind !== "gcc";
if (options.product === "fuzz" && !clang) stop(`the fuzz target needs clang, not ${found}`);
if (target !== undefined) before.push(...{ zig: ["-target", target], clang: [`--target=${target}`], gcc: [] }[kind]);
const headers = [join(dirname(dirname(process.execPath)), "include", "node"), "/usr/include/node", "/usr/local/include/node"].find(
  (folder) => existsSync(join(folder, "node_api.h")),
);
if (!headers) stop(`node_api.h not found beside ${process.execPath}; install Node's headers`);

// Kernels are compiled once for each instruction set, in a namespace of their own.
const sets = kernelSets(target === undefined ? process.arch : architectureOf(target), kind);
const strict = options.sanitize || options.product !== "frugal.node" || options.folder !== "" || process.env.CI;
const sanitizers = {
  // Coverage counters cost tests little, and the fuzz target shares the objects.
  address: `-fsanitize=address,undefined${clang ? ",fuzzer-no-link" : ""}`,
  thread: "-fsanitize=thread",
}[options.sanitize];
const common = [
  ...commonFlags(kind, { strict }),
  ...(sanitizers
    ? [sanitizers, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", clang ? "-gline-tables-only" : "-g1", "-O1"]
    : ["-O3"]),
];

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
    sources("kernels").map((file) => unit(file, [...common, ...kernelFlags, ...flags, `-DFRUGAL_ISA=${set}`], `.${set}`)),
  ),
  ...sources("runtime").map((file) => unit(file, common)),
];
const threadUnits = () => ["runtime/pool.cpp", "test/main.cpp", "test/pool.cpp"].map((file) => unit(file, common));
const units = options.sanitize === "thread" ? threadUnits() : [...core(), ...products[options.product]()];

mkdirSync(output, { recursive: true });
const age = (file) => statSync(file).mtimeMs;
const stampFile = ({ object }) => join(output, object.replace(/o$/, "flags"));
const stampOf = ({ flags }) => [found, ...before, ...flags].join(" ");
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
    const words = [...before, ...unit.flags, "-MMD", "-MF", path.replace(/o$/, "d"), "-c", join(root, unit.file), "-o", path];
    execFile(compiler, words, { maxBuffer: 1 << 26 }, (error, _, stderr) => {
      if (error) return failed(new Error(`${unit.file} does not compile with ${found}\n${stderr.slice(0, 8000)}`));
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
  const product = join(output, options.product);
  if (total > 0 || !existsSync(product) || units.some(({ object }) => age(join(output, object)) > age(product))) {
    const darwin = target === undefined ? process.platform === "darwin" : /macos|darwin/.test(target);
    // zig's own libraries come with the lines they were compiled from, 14 MB of them.
    const shared =
      options.product === "frugal.node"
        ? ["-shared", ...(darwin ? ["-undefined", "dynamic_lookup"] : []), ...(kind === "zig" ? ["-s"] : [])]
        : [];
    const alone = target !== undefined && options.product !== "frugal.node" && !darwin ? ["-static"] : [];
    const checks = sanitizers
      ? [options.product === "fuzz" ? sanitizers.replace("-no-link", "") : sanitizers.replace(",fuzzer-no-link", "")]
      : [];
    const objects = units.map(({ object }) => join(output, object));
    const linked = spawnSync(compiler, [...before, ...objects, ...checks, "-pthread", ...shared, ...alone, "-o", `${product}.part`], {
      encoding: "utf8",
    });
    if (linked.status !== 0) throw new Error(`linking failed\n${linked.stderr}`);
    renameSync(`${product}.part`, product);
  }
  const place = resolve(product).replace(`${dirname(root)}/`, "");
  console.log(`native: ${place} is ready (${found}, ${Object.keys(sets).join(", ")}; ${total} of ${units.length} files compiled)`);
} catch (error) {
  stop(error.message);
}

function readOptions(words) {
  const read = { sanitize: undefined, product: "frugal.node", folder: undefined, target: undefined };
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "--sanitize") read.sanitize = "address";
    else if (word === "--sanitize=thread") read.sanitize = "thread";
    else if (word === "--test") read.product = "kernel-test";
    else if (word === "--fuzz") [read.product, read.sanitize] = ["fuzz", "address"];
    else if (word === "--folder" && /^[\w-]+$/.test(words[0] ?? "")) read.folder = words.shift();
    else if (word === "--target" && /^[\w.-]+$/.test(words[0] ?? "")) read.target = words.shift();
    else stop(`build: unknown option "${word}"; there are --sanitize[=thread], --test, --fuzz, --folder NAME and --target TRIPLE`);
  }
  if (read.sanitize === "thread" && read.product !== "kernel-test") stop("build: --sanitize=thread is for --test");
  // Another machine's objects never mix with this one's.
  read.folder ??= [read.sanitize, read.target].filter(Boolean).join("-");
  return read;
}

function stop(message) {
  console.error(`native: ${message}`);
  process.exit(1);
}

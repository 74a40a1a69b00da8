// Builds the native core: `node native/build.mjs [--sanitize] [--test]`. Objects are rebuilt only where a source they include is newer.
// Prints one line a problem and exits 1; the rest of Frugal then runs on the reference backend.
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const sanitize = process.argv.includes("--sanitize");
const tests = process.argv.includes("--test");
const output = join(root, sanitize ? "build-sanitize" : "build");

const compilers = ["clang++", "clang++-19", "clang++-18", "clang++-17", "clang++-16", "clang++-15", "clang++-14", "g++", "c++"];
const compiler = [process.env.CXX, ...compilers].find((name) => name && spawnSync(name, ["--version"]).status === 0);
if (!compiler) {
  console.error(`native: no C++ compiler found (looked for ${compilers.join(", ")}); install clang or g++ for the fast backend`);
  process.exit(1);
}
const headers = [join(dirname(dirname(process.execPath)), "include", "node"), "/usr/include/node", "/usr/local/include/node"].find((folder) =>
  existsSync(join(folder, "node_api.h")),
);
if (!headers) {
  console.error(`native: node_api.h not found beside ${process.execPath}; install Node's headers`);
  process.exit(1);
}

// Kernels are compiled once for each instruction set, in a namespace of their own; no contraction, so that all sets round as written.
const sets = {
  portable: [],
  ...(process.arch === "x64" && {
    avx2: ["-mavx2", "-mfma", "-mf16c", "-mbmi2"],
    avx512: ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx2", "-mfma", "-mf16c", "-mbmi2", "-mprefer-vector-width=512"],
  }),
};
const clang = /clang/.test(compiler) || /clang/.test(String(spawnSync(compiler, ["--version"]).stdout));
const common = ["-std=c++20", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", ...(clang ? [] : ["-Wno-unknown-pragmas", "-Wno-class-memaccess"]), ...(sanitize ? ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"] : ["-O3"])];
const kernelFlags = [...common, "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-fno-math-errno"];
const sources = (folder) => readdirSync(join(root, folder)).filter((f) => f.endsWith(".cpp")).map((f) => join(folder, f));

const units = [
  ...Object.entries(sets).flatMap(([set, flags]) => sources("kernels").map((file) => ({ file, object: `${file.replace(/\W/g, "_")}.${set}.o`, flags: [...kernelFlags, ...flags, `-DFRUGAL_ISA=${set}`] }))),
  ...sources("runtime").map((file) => ({ file, object: `${file.replace(/\W/g, "_")}.o`, flags: common })),
  ...(tests ? sources("test") : sources("bindings")).map((file) => ({ file, object: `${file.replace(/\W/g, "_")}.o`, flags: [...common, `-I${headers}`, "-DNAPI_VERSION=9"] })),
];

mkdirSync(output, { recursive: true });
const stamp = `${compiler} ${units.map((u) => u.flags.join(" ")).join("\n")}`;
const stampFile = join(output, tests ? "flags-test.txt" : "flags.txt");
const sameFlags = existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp;

const age = (file) => statSync(file).mtimeMs;
function stale({ object }) {
  const path = join(output, object), dependencies = path.replace(/o$/, "d");
  if (!sameFlags || !existsSync(path) || !existsSync(dependencies)) return true;
  const built = age(path);
  const files = readFileSync(dependencies, "utf8").replace(/\\\n/g, " ").split(/\s+/).slice(1).filter(Boolean);
  return files.some((file) => !existsSync(file) || age(file) > built);
}
const compile = (unit) =>
  new Promise((done, failed) => {
    const path = join(output, unit.object);
    execFile(compiler, [...unit.flags, "-MMD", "-MF", path.replace(/o$/, "d"), "-c", join(root, unit.file), "-o", path], { maxBuffer: 1 << 24 }, (error, _, stderr) =>
      error ? failed(new Error(`native: ${unit.file} does not compile with ${compiler}\n${stderr}`)) : done(),
    );
  });

try {
  const waiting = units.filter(stale);
  const total = waiting.length;
  await Promise.all(Array.from({ length: availableParallelism() }, async () => {
    for (let unit = waiting.pop(); unit; unit = waiting.pop()) await compile(unit);
  }));
  const target = join(output, tests ? "kernel-test" : "frugal.node");
  if (total > 0 || !existsSync(target)) {
    const link = [...units.map((u) => join(output, u.object)), ...(sanitize ? ["-fsanitize=address,undefined"] : []), "-pthread", ...(tests ? [] : process.platform === "darwin" ? ["-shared", "-undefined", "dynamic_lookup"] : ["-shared"]), "-o", `${target}.part`];
    const linked = spawnSync(compiler, link, { encoding: "utf8" });
    if (linked.status !== 0) throw new Error(`native: linking failed\n${linked.stderr}`);
    renameSync(`${target}.part`, target);
    writeFileSync(stampFile, stamp);
  }
  console.log(`native: ${resolve(target).replace(`${dirname(root)}/`, "")} is ready (${compiler}, ${Object.keys(sets).join(", ")}; ${total} of ${units.length} files compiled)`);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

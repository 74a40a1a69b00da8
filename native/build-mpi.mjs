// Builds the addon for training over Open MPI: `node native/build-mpi.mjs`. Only where mpicc is installed (Debian: libopenmpi-dev and
// openmpi-bin); elsewhere it says so and ends with 0, and training runs on one machine. Warnings are errors in continuous integration.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const source = join(root, "mpi/node.cpp");
const target = join(root, "build/frugal-mpi.node");
const stamp = `${target}.flags`;

const ask = (option) => spawnSync("mpicc", [option], { encoding: "utf8" });
const [compile, link] = [ask("--showme:compile"), ask("--showme:link")];
if (compile.error) {
  console.log("native: mpicc is not installed, so training runs on one machine");
  process.exit(0);
}
if (compile.status !== 0 || link.status !== 0) stop("mpicc does not answer --showme:compile: it is not Open MPI's; install libopenmpi-dev");

const compiler = [process.env.CXX, "clang++", "clang++-16", "g++", "c++"].find(
  (name) => name && spawnSync(name, ["--version"]).status === 0,
);
if (!compiler) stop("no C++ compiler found; install clang or g++ to train over Open MPI");
const headers = [join(dirname(dirname(process.execPath)), "include/node"), "/usr/include/node", "/usr/local/include/node"].find((folder) =>
  existsSync(join(folder, "node_api.h")),
);
if (!headers) stop(`node_api.h not found beside ${process.execPath}; install Node's headers`);

const words = (text) => text.trim().split(/\s+/).filter(Boolean);
// Open MPI's own headers are not ours to warn about.
const includes = words(compile.stdout).map((word) => word.replace(/^-I/, "-isystem"));
const flags = [
  ..."-std=c++20 -O2 -fPIC -fvisibility=hidden -Wall -Wextra".split(" "),
  ...(process.env.CI ? ["-Werror"] : []),
  ...includes,
  `-I${headers}`,
  "-DNAPI_VERSION=9",
  "-DOMPI_SKIP_MPICXX",
];
const all = [...flags, source, "-shared", ...words(link.stdout), "-ldl", "-pthread"];
const wanted = `${compiler} ${all.join(" ")}`;
const fresh =
  existsSync(target) && existsSync(stamp) && statSync(target).mtimeMs >= statSync(source).mtimeMs && readFileSync(stamp, "utf8") === wanted;
if (!fresh) {
  mkdirSync(dirname(target), { recursive: true });
  const part = `${target}.${process.pid}`;
  const { status, stderr } = spawnSync(compiler, [...all, "-o", part], { encoding: "utf8" });
  if (status !== 0) stop(`mpi/node.cpp does not compile with ${compiler}\n${stderr.slice(0, 8000)}`);
  renameSync(part, target);
  writeFileSync(stamp, wanted);
}
console.log(`native: build/frugal-mpi.node is ready (${compiler})`);

function stop(message) {
  console.error(`native: ${message}`);
  process.exit(1);
}

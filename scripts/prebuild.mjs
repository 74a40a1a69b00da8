// node scripts/prebuild.mjs [PLATFORM...]: cross-compiles the native core with zig (pip install ziglang==0.17.1, or zig on the PATH) and makes
// each platform's npm package in dist-packages/. Without names, all platforms.
//   --own   packs this checkout's own build (npm run setup) as this platform's package instead: quick, for tries and tests
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { binaryFault } from "./native-binary.mjs";
import { npmPack, packagesFolder, PackError } from "./pack.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Platforms as zig calls them. Node 20 needs glibc 2.28 and macOS 11 itself. */
const triples = {
  "linux-x64": "x86_64-linux-gnu.2.28",
  "linux-x64-musl": "x86_64-linux-musl",
  "linux-arm64": "aarch64-linux-gnu.2.28",
  "linux-arm64-musl": "aarch64-linux-musl",
  "darwin-x64": "x86_64-macos.11.0",
  "darwin-arm64": "aarch64-macos.11.0",
};

function zig() {
  const ways = [["zig"], ["python3", "-m", "ziglang"]];
  const way = ways.find(([command, ...words]) => spawnSync(command, [...words, "version"]).status === 0);
  if (!way) throw new PackError("prebuild: no zig found; pip install ziglang==0.17.1, or put zig on the PATH");
  return [...way, "c++"].join(" ");
}

function build(name) {
  const words = [join(root, "native/build.mjs"), "--target", triples[name], "--folder", name];
  const { status, stderr } = spawnSync(process.execPath, words, {
    encoding: "utf8",
    stdio: ["ignore", 2, "pipe"],
    env: { ...process.env, CXX: zig() },
    maxBuffer: 64 << 20,
  });
  if (status !== 0) throw new PackError(`prebuild: ${name} does not build:\n${stderr}`);
  return join(root, "native/build", name, "frugal.node");
}

/** Writes a platform's package and packs it; answers the archive's path. One that is `local` may need this machine's C++ library. */
export function packNative(name, platform, packageName, binary, { out = packagesFolder, local = false } = {}) {
  const fault = binaryFault(readFileSync(binary), platform, { local });
  if (fault !== undefined) throw new PackError(`prebuild: ${name}: ${binary} ${fault}`);
  const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const folder = join(out, `native-${name}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { os, cpu, libc } = platform;
  const description = {
    name: packageName,
    version,
    description: `The native core of frugal for ${name}. Installed by frugal itself where it fits.`,
    license,
    main: "frugal.node",
    files: ["frugal.node"],
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    preferUnplugged: true, // a library can't be loaded from inside an archive
    engines: { node: ">=20.19" },
  };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(description, null, 2)}\n`);
  writeFileSync(join(folder, "README.md"), `# ${packageName}\n\n${description.description}\n`);
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  copyFileSync(binary, join(folder, "frugal.node"));
  return npmPack(folder, out);
}

async function main(words) {
  const { nativePackage, nativePlatforms, platformHere } = await import("../dist/backends/native/packages.js");
  const own = words.includes("--own");
  const names = own ? [platformHere()] : words.length > 0 ? words : Object.keys(nativePlatforms);
  for (const name of names) {
    if (!Object.hasOwn(nativePlatforms, name) || (own && words.length > 1))
      throw new PackError(`prebuild: unknown platform "${name}"; there are ${Object.keys(nativePlatforms).join(", ")}, or --own alone`);
    const binary = own ? join(root, "native/build/frugal.node") : build(name);
    console.log(packNative(name, nativePlatforms[name], nativePackage(name), binary, { local: own }));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await main(process.argv.slice(2)).catch((error) => {
    console.error(error instanceof PackError ? error.message : error);
    process.exitCode = 1;
  });

// node scripts/pack.mjs: makes the npm package frugal in dist-packages/, as it is published. It differs from the checkout's package.json in what
// only a checkout has (scripts, devDependencies) and in optionalDependencies: the platforms' packages that lie in dist-packages/ already
// (scripts/prebuild.mjs). They are named here and not in the checkout because npm ci there would look for versions that are not published yet.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { distIsFresh } from "./freshness.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
export const packagesFolder = join(root, "dist-packages");

/** Something is not as packing needs it; the message is for people. */
export class PackError extends Error {}

const npm = (words, cwd) => {
  const { status, stdout, stderr } = spawnSync("npm", words, { cwd, encoding: "utf8", shell: process.platform === "win32" });
  if (status !== 0) throw new PackError(`pack: npm ${words.join(" ")} failed in ${cwd}:\n${stderr}`);
  return stdout;
};

/** Packs a folder; answers the archive's path. */
export function npmPack(folder, out) {
  mkdirSync(out, { recursive: true });
  const [{ filename }] = JSON.parse(npm(["pack", "--json", "--ignore-scripts", "--pack-destination", out], folder));
  return join(out, filename);
}

/** The files that a checkout's package would hold. */
export const packedFiles = (folder = root) =>
  JSON.parse(npm(["pack", "--dry-run", "--json", "--ignore-scripts"], folder))[0].files.map(({ path }) => path);

/** A checkout's package.json as it is published, with the platforms' packages that shall be installed where they fit. */
export function publishedDescription(description, nativePackages) {
  const {
    devDependencies: _,
    scripts: { setup },
    ...kept
  } = description;
  const optional = Object.fromEntries(nativePackages.map((name) => [name, description.version]));
  return { ...kept, scripts: { setup }, ...(nativePackages.length > 0 ? { optionalDependencies: optional } : {}) };
}

/** Packs the checkout; answers the archive's path and which platforms' packages it names. */
export async function pack(out = packagesFolder) {
  if (!distIsFresh(root)) throw new PackError("pack: dist is older than the sources; run npm run setup");
  const { nativePackage, nativePlatforms } = await import("../dist/backends/native/packages.js");
  const description = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const archive = (name) => join(out, `${name.replace("@", "").replace("/", "-")}-${description.version}.tgz`);
  const names = Object.keys(nativePlatforms).map(nativePackage);
  const [there, missing] = [names.filter((name) => existsSync(archive(name))), names.filter((name) => !existsSync(archive(name)))];
  const folder = join(out, "frugal");
  rmSync(folder, { recursive: true, force: true });
  for (const path of packedFiles()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    copyFileSync(join(root, path), join(folder, path));
  }
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(publishedDescription(description, there), null, 2)}\n`);
  return { archive: npmPack(folder, out), there, missing };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await pack().then(
    ({ archive, missing }) => {
      console.log(archive);
      if (missing.length > 0) console.error(`pack: without ${missing.join(", ")}: not in dist-packages (node scripts/prebuild.mjs)`);
    },
    (error) => {
      console.error(error instanceof PackError ? error.message : error);
      process.exitCode = 1;
    },
  );

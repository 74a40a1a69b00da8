// Guards against one instruction set's code running for another: `node native/check-symbols.mjs FOLDER` reads the objects of a build with nm.
// A weak symbol (an inline function, a template) is merged across objects, so a copy compiled with AVX-512 may be what everybody calls.
// Weak symbols of a kernel object must therefore carry the name of the object's own set.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Weak symbols of kernel objects (NAME.SET.o) that another set's objects may define too, as `object: symbol`. Fails where nm is missing. */
export function sharedSymbols(folder) {
  const tool = ["nm", "llvm-nm", "llvm-nm-16"].find((name) => spawnSync(name, ["--version"]).status === 0);
  if (tool === undefined) throw new Error("nm is not installed; install binutils or llvm");
  const objects = readdirSync(folder).filter((file) => /\.\w+\.o$/.test(file));
  if (objects.length === 0) throw new Error(`no kernel objects in ${folder}; build first`);
  return objects.flatMap((object) => {
    const set = /\.(\w+)\.o$/.exec(object)[1];
    const { status, stdout, stderr } = spawnSync(tool, ["--defined-only", "--format=posix", join(folder, object)], { encoding: "utf8" });
    if (status !== 0) throw new Error(`${tool} can't read ${object}: ${stderr}`);
    // A mangled name holds each part of a namespace behind its length: frugal::avx2 is 6frugal4avx2.
    const own = `6frugal${set.length}${set}`;
    return stdout
      .split("\n")
      .map((line) => line.split(" "))
      .filter(([name, kind]) => /^[WwVvu]$/.test(kind ?? "") && !name.includes(own))
      .map(([name]) => `${object}: ${name}`);
  });
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) {
  try {
    const shared = sharedSymbols(process.argv[2] ?? fileURLToPath(new URL("build", import.meta.url)));
    for (const symbol of shared) console.error(`native: merged across instruction sets: ${symbol}`);
    process.exitCode = shared.length > 0 ? 1 : 0;
  } catch (error) {
    console.error(`native: ${error.message}`);
    process.exitCode = 1;
  }
}

// Runs a bundle as V8 compiled it the last time; the code is kept beside the bundle. Node 22 can keep the code of modules by itself
// (module.enableCompileCache), Node 20 cannot.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";

/** The bundle is a CommonJS script that has no import(). `name` tells apart uses that need different functions of the bundle: code is kept of what a use has called. */
export function runCached(url, name) {
  const path = fileURLToPath(url);
  const cache = `${path}.${name}-${process.version}-${process.arch}`;
  const cachedData = readOrNothing(cache);
  const script = new Script(`(function (require, __filename) { "use strict"; ${readFileSync(path, "utf8")}\n})`, {
    filename: path,
    cachedData,
  });
  if (cachedData === undefined || script.cachedDataRejected) process.on("exit", (code) => code === 0 && keep(script, cache));
  script.runInThisContext()(createRequire(url), path);
}

function readOrNothing(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** In one step, since others may start meanwhile. Where the folder is not ours to write, the next start compiles again. */
function keep(script, cache) {
  const temporary = `${cache}.${process.pid}`;
  try {
    writeFileSync(temporary, script.createCachedData(), { flag: "wx" });
    renameSync(temporary, cache);
  } catch {
    return;
  }
}

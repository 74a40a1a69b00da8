// The command line in one file: `node scripts/bundle.mjs [dist]`. To find, read and compile its 220 modules took 100 ms of each start, where
// the file takes 40 ms, and 20 ms once V8's code is kept (bin/cached.mjs). The library stays in modules.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
// Three folders deep, like the modules that look for files beside dist.
const output = "cli/bundle/main.cjs";
// Libraries that only some commands need stay outside: each start would read them.
const outside = ["@huggingface/hub", "@hono/node-server", "@hono/node-server/utils/response", "hono", "pino", "prom-client", "zod"];
// import() needs a flag of Node in code that came from a cache, so what is not bundled is asked for by require.
const options = [
  ..."--format cjs --platform node --no-codeSplitting --no-dynamicImportInCjs".split(" "),
  ...outside.flatMap((name) => ["--external", name]),
];

/** Writes the bundle into a compiled `dist`; answers what went wrong, if anything did. */
export function bundle(dist) {
  const bundler = join(root, "node_modules/rolldown/bin/cli.mjs");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [bundler, join(dist, "cli/main.js"), "--file", join(dist, output), ...options],
    {
      cwd: root,
      encoding: "utf8",
    },
  );
  return status === 0 ? undefined : stdout + stderr;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problem = bundle(process.argv[2] ?? join(root, "dist"));
  if (problem !== undefined) {
    console.error(problem);
    process.exitCode = 1;
  }
}

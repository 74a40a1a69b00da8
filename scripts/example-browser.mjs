// npm run example:browser: the example page on this machine: npm run example:browser -- [--port N] [--no-headers]. With --no-headers as a host that
// cannot send any: the page's service worker then gives it threads.
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setupOrExit } from "./setup.mjs";

const { values } = parseArgs({
  options: { port: { type: "string", default: "8000" }, headers: { type: "boolean", default: true } },
  allowNegative: true,
});
const folder = (path) => fileURLToPath(new URL(`../${path}/`, import.meta.url));
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};
types[".wasm"] = "application/wasm"; // else browsers do not compile it while it comes
types[".webmanifest"] = "application/manifest+json";
const isolation = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

setupOrExit();
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const [base, rest] = pathname.startsWith("/frugal/")
    ? [folder("dist/browser"), pathname.slice(8)]
    : [folder("examples/browser"), pathname.slice(1)];
  const path = normalize(join(base, decodeURIComponent(rest) || "index.html"));
  const found = path.startsWith(base.split("/").join(sep)) && statSync(path, { throwIfNoEntry: false });
  if (!found || !found.isFile()) return response.writeHead(404).end();
  response.writeHead(200, {
    "content-type": types[extname(path)] ?? "application/octet-stream",
    "content-length": found.size,
    "cache-control": "no-cache",
    ...(values.headers ? isolation : {}),
  });
  createReadStream(path).pipe(response);
});
server.on("error", ({ message }) => {
  console.error(`example: ${message}; choose another port with --port`);
  process.exitCode = 1;
});
server.listen(Number(values.port), "127.0.0.1", () =>
  console.log(`The example is at http://localhost:${server.address().port}/ (Ctrl-C ends it)`),
);

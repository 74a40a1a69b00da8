/** Serves what the pages of this bench load from the loopback, with the headers that threads in a browser need. */
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

export interface Server {
  readonly origin: string;
  close(): void;
}

const mediaTypes: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json" };
// What is evaluated in the page asks it for modules: the compiler would turn import() of a computed address into a call of its own.
const page = `<!doctype html><meta charset="utf-8"><title>bench</title><script>globalThis.importModule = (address) => import(address)</script>`;

/** @param places the beginning of a path, and the folder or file that it means. */
export async function startServer(places: Readonly<Record<string, string>>): Promise<Server> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    response.setHeader("cross-origin-opener-policy", "same-origin").setHeader("cross-origin-embedder-policy", "require-corp");
    if (path === "/") return void response.writeHead(200, { "content-type": "text/html" }).end(page);
    const start = Object.keys(places).find((known) => path.startsWith(known));
    const file = start === undefined ? undefined : normalize(join(places[start]!, path.slice(start.length)));
    const found = file?.startsWith(places[start!]!) === true ? statSync(file, { throwIfNoEntry: false }) : undefined;
    if (found?.isFile() !== true) return void response.writeHead(404).end();
    const type = extname(file!) === ".wasm" ? "application/wasm" : (mediaTypes[extname(file!)] ?? "application/octet-stream");
    response.writeHead(200, { "content-type": type, "content-length": found.size, "cache-control": "max-age=3600" });
    createReadStream(file!).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

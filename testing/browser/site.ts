/**
 * A local server for tests in a browser: files of folders and bytes from memory, with ranges, validators and media types as the web has them, with
 * or without cross-origin isolation, and a table of routes that answer as a test wants.
 */
import { createHash } from "node:crypto";
import { open, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, sep } from "node:path";

/** Answers one request; what it throws is answered with status 500 and fails the site's `close`. */
export type Route = (request: IncomingMessage, response: ServerResponse) => unknown;

export interface SiteOptions {
  /** Sends COOP and COEP, so pages may share memory. Default true. */
  readonly isolated?: boolean;
  /** Sent with every answer, such as a Content-Security-Policy. */
  readonly headers?: Readonly<Record<string, string>>;
  /** By path, with its leading slash; one that ends in a slash answers everything beneath it. Asked before anything else. */
  readonly routes?: Readonly<Record<string, Route>>;
  /** What lies in memory, by path. */
  readonly contents?: ReadonlyMap<string, string | Uint8Array>;
  /** What lies on disk: a path's beginning such as "/" or "/models/", and its folder. */
  readonly folders?: Readonly<Record<string, string>>;
}

export interface Site {
  readonly origin: string;
  /** "METHOD path" of each request so far, and the range it asked for. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

const mediaTypes: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/** Starts a site on a free port of the loopback. */
export async function openSite(options: SiteOptions = {}): Promise<Site> {
  const requests: string[] = [];
  const faults: unknown[] = [];
  const always = {
    ...(options.isolated === false ? {} : { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" }),
    ...options.headers,
  };
  const server = createServer((request, response) => {
    const path = pathOf(request);
    requests.push(`${request.method} ${path}${request.headers.range === undefined ? "" : ` ${request.headers.range}`}`);
    for (const [name, value] of Object.entries(always)) response.setHeader(name, value);
    answer(path, options, request, response).catch((error: unknown) => {
      faults.push(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      if (faults.length > 0) throw new AggregateError(faults, `the site's routes failed: ${String(faults[0])}`);
    },
  };
}

async function answer(path: string, options: SiteOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { routes = {}, contents, folders = {} } = options;
  const route = routes[path] ?? longestBeginning(routes, path)?.[1];
  if (route !== undefined) return void (await route(request, response));
  const content = contents?.get(path);
  if (content !== undefined) return sendBytes(request, response, typeof content === "string" ? Buffer.from(content) : content, { path });
  const folder = longestBeginning(folders, path);
  if (folder !== undefined) {
    const file = join(folder[1], path.slice(folder[0].length) || "index.html");
    if (file === folder[1] || file.startsWith(folder[1].endsWith(sep) ? folder[1] : folder[1] + sep))
      if (await sendFile(request, response, file)) return;
  }
  response.writeHead(path === "/favicon.ico" ? 204 : 404).end();
}

const pathOf = (request: IncomingMessage): string => decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);

const longestBeginning = <T>(table: Readonly<Record<string, T>>, path: string): [string, T] | undefined =>
  Object.entries(table)
    .filter(([start]) => start.endsWith("/") && path.startsWith(start))
    .sort(([a], [b]) => b.length - a.length)[0];

/** Answers with bytes, or the range of them that is asked for. A route may call it. */
export function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  options: { readonly path?: string; readonly etag?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): void {
  const etag = options.etag ?? `"${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}"`;
  for (const [name, value] of Object.entries(options.headers ?? {})) response.setHeader(name, value);
  const range = begin(request, response, { path: options.path ?? pathOf(request), size: bytes.length, etag });
  if (range !== undefined) response.end(bytes.subarray(range.start, range.end));
}

/** Answers with a file, or the range of it that is asked for. False where there is none. */
export async function sendFile(request: IncomingMessage, response: ServerResponse, path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || !found.isFile()) return false;
  const range = begin(request, response, { path, size: found.size, etag: `"${found.size}-${Math.round(found.mtimeMs)}"` });
  if (range === undefined) return true;
  if (range.start === range.end) {
    response.end();
    return true;
  }
  const file = await open(path);
  file
    .createReadStream({ start: range.start, end: range.end - 1 })
    .on("error", () => response.destroy())
    .pipe(response);
  return true;
}

/** Writes the head. Undefined where that is the whole answer. */
function begin(
  request: IncomingMessage,
  response: ServerResponse,
  { path, size, etag }: { readonly path: string; readonly size: number; readonly etag: string },
): { readonly start: number; readonly end: number } | undefined {
  const head: Record<string, string | number> = { "accept-ranges": "bytes", etag, "cache-control": "no-cache" };
  head["content-type"] = mediaTypes[path.endsWith("/") ? ".html" : extname(path)] ?? "application/octet-stream";
  if (request.headers["if-none-match"] === etag) return void response.writeHead(304, head).end();
  const asked = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const unchanged = request.headers["if-range"] === undefined || request.headers["if-range"] === etag;
  if (asked === null || !unchanged) {
    response.writeHead(200, { ...head, "content-length": size });
    return request.method === "HEAD" ? void response.end() : { start: 0, end: size };
  }
  const start = Number(asked[1]);
  const end = asked[2] === "" ? size : Math.min(size, Number(asked[2]) + 1);
  if (start >= size || end <= start) return void response.writeHead(416, { ...head, "content-range": `bytes */${size}` }).end();
  response.writeHead(206, { ...head, "content-range": `bytes ${start}-${end - 1}/${size}`, "content-length": end - start });
  return request.method === "HEAD" ? void response.end() : { start, end };
}

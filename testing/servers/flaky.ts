/** A file server on this machine that misbehaves on order: what downloads have to live with. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What an answer does instead of going well. */
export interface Misbehaviour {
  /** Answers with this status and no content. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Breaks the connection, or ends the answer, or goes silent, after so many bytes of the body. */
  readonly cut?: number;
  readonly end?: number;
  readonly stall?: number;
  /** Waits so many milliseconds after each 64 KiB. */
  readonly slow?: number;
  readonly ignoreRange?: boolean;
  /** Ignores If-Range: sends the part although the version changed. */
  readonly ignoreIfRange?: boolean;
  /** Sends no Content-Length (chunked, or until the connection ends). */
  readonly noLength?: boolean;
  /** Sends so many bytes more than the file has. */
  readonly extra?: number;
}

export interface FlakyServer {
  readonly origin: string;
  readonly seen: { readonly url: string; readonly headers: IncomingMessage["headers"]; readonly method: string }[];
  bytes: Uint8Array;
  /** Sent with each answer; undefined: none. */
  etag: string | undefined;
  lastModified: string | undefined;
  /** Whether pages of other origins may read. */
  cors: boolean;
  behave: (request: IncomingMessage, count: number) => Misbehaviour;
  close(): Promise<void>;
}

export async function serveFlaky(bytes: Uint8Array): Promise<FlakyServer> {
  const server = createServer((request, response) => void answer(flaky, request, response));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const flaky: FlakyServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    bytes,
    etag: '"1"',
    lastModified: undefined,
    cors: true,
    behave: () => ({}),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return flaky;
}

async function answer(flaky: FlakyServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { url = "/", headers, method = "GET" } = request;
  flaky.seen.push({ url, headers, method });
  const { bytes, etag, lastModified } = flaky;
  const doing = flaky.behave(request, flaky.seen.length);
  const common = {
    ...(flaky.cors && { "access-control-allow-origin": "*", "access-control-expose-headers": "etag, content-range" }),
    "cross-origin-resource-policy": "cross-origin",
    ...(etag !== undefined && { etag }),
    ...(lastModified !== undefined && { "last-modified": lastModified }),
    ...doing.headers,
  };
  if (method === "OPTIONS")
    return void response.writeHead(204, { ...common, ...(flaky.cors && { "access-control-allow-headers": "authorization" }) }).end();
  if (doing.status !== undefined) return void response.writeHead(doing.status, common).end();
  const version = headers["if-range"];
  const isCurrent = doing.ignoreIfRange === true || version === undefined || version === etag || version === lastModified;
  const first = /^bytes=(\d+)-$/.exec(headers.range ?? "")?.[1];
  const isPart = first !== undefined && doing.ignoreRange !== true && isCurrent;
  const from = isPart ? Number(first) : 0;
  if (isPart && from >= bytes.length) return void response.writeHead(416, { ...common, "content-range": `bytes */${bytes.length}` }).end();
  const body = doing.extra === undefined ? bytes.subarray(from) : Buffer.concat([bytes.subarray(from), new Uint8Array(doing.extra)]);
  response.writeHead(isPart ? 206 : 200, {
    ...common,
    ...(doing.noLength !== true && { "content-length": String(body.length) }),
    ...(isPart && { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
  });
  await send(body.subarray(0, doing.cut ?? doing.end ?? doing.stall), doing.slow ?? 0, response);
  if (doing.stall !== undefined) return;
  if (doing.cut !== undefined) return void setTimeout(() => response.destroy(), 10);
  response.end();
}

async function send(body: Uint8Array, wait: number, response: ServerResponse): Promise<void> {
  const step = 1 << 16;
  for (let offset = 0; offset < body.length && !response.destroyed; offset += step) {
    // The callback comes when the bytes are on their way, or cannot be.
    await new Promise<void>((resolve) => void response.write(body.subarray(offset, offset + step), () => resolve()));
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  }
  response.flushHeaders();
}

/** A hub on this machine that speaks as much of the Hugging Face protocol as a download needs, and fails on order. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ServedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Stored as a large file: listed with a SHA-256 and served by redirect from elsewhere. */
  readonly large?: boolean;
}

export interface SeenRequest {
  readonly kind: "info" | "tree" | "resolve" | "storage";
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** What the server does instead of answering well; chosen anew for each request. */
export type Fault =
  | { readonly kind: "status"; readonly status: number; readonly headers?: Record<string, string> }
  | { readonly kind: "cut"; readonly after: number }
  | { readonly kind: "stall"; readonly after: number }
  | { readonly kind: "ignore range" }
  | { readonly kind: "other bytes" };

export interface HubServer {
  readonly endpoint: string;
  /** Where large files are redirected to; the endpoint where not changed. Another name of this machine makes it another host. */
  storage: string;
  readonly seen: SeenRequest[];
  readonly commit: string;
  fault: (request: SeenRequest) => Fault | undefined;
  close(): Promise<void>;
}

/** Pages of all origins may read, as from the real hub. */
const permissions = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "authorization, range",
  "access-control-expose-headers": "ETag, Link, Content-Range, X-Linked-Size, X-Linked-ETag",
};

const sha = (algorithm: string, ...parts: (string | Uint8Array)[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest("hex");
export const gitHash = (bytes: Uint8Array): string => sha("sha1", `blob ${bytes.length}\0`, bytes);
export const contentHash = (bytes: Uint8Array): string => sha("sha256", bytes);

/** Serves `files` as the repository `name`. */
export async function serveHub(name: string, files: readonly ServedFile[]): Promise<HubServer> {
  const commit = sha("sha1", name);
  const server = createServer((request, response) => answer(hub, name, files, request, response));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const hub: HubServer = {
    endpoint,
    storage: endpoint,
    seen: [],
    commit,
    fault: () => undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return hub;
}

function answer(hub: HubServer, name: string, files: readonly ServedFile[], request: IncomingMessage, response: ServerResponse): void {
  for (const [header, value] of Object.entries(permissions)) response.setHeader(header, value);
  if (request.method === "OPTIONS") return void response.writeHead(204).end();
  const url = new URL(request.url ?? "/", hub.endpoint);
  const kind = url.pathname.startsWith("/storage/")
    ? "storage"
    : url.pathname.startsWith(`/api/models/${name}/revision/`)
      ? "info"
      : url.pathname.startsWith(`/api/models/${name}/tree/`)
        ? "tree"
        : "resolve";
  const named = decodeURIComponent(url.pathname);
  const path = kind === "resolve" ? named.replace(`/${name}/resolve/${hub.commit}/`, "") : named.replace("/storage/", "");
  const seen: SeenRequest = { kind, path, range: request.headers.range, authorization: request.headers.authorization };
  hub.seen.push(seen);
  const fault = hub.fault(seen);
  const json = (status: number, value: unknown, headers: Record<string, string> = {}): void =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
  if (fault?.kind === "status") return json(fault.status, { error: "as ordered" }, fault.headers);
  if (kind === "info")
    return json(200, {
      _id: "1",
      id: name,
      sha: hub.commit,
      private: false,
      downloads: 1,
      gated: false,
      likes: 0,
      lastModified: "2026-01-01",
    });
  if (kind === "tree") return tree(hub, files, url, json);
  const file = files.find((candidate) => candidate.path === path);
  if (file === undefined)
    return json(
      404,
      { error: "no such file" },
      { "x-error-code": url.pathname.startsWith(`/${name}/`) ? "EntryNotFound" : "RepoNotFound" },
    );
  const etag = `"${file.large === true ? contentHash(file.bytes) : gitHash(file.bytes)}"`;
  if (kind === "resolve" && file.large === true)
    return void response
      .writeHead(302, { location: `${hub.storage}/storage/${path}`, "x-linked-etag": etag, "x-linked-size": String(file.bytes.length) })
      .end();
  send(file.bytes, etag, fault, seen, response);
}

/** Two entries a page, as a large repository is listed. */
function tree(
  hub: HubServer,
  files: readonly ServedFile[],
  url: URL,
  json: (status: number, value: unknown, headers?: Record<string, string>) => void,
): void {
  const cursor = Number(url.searchParams.get("cursor") ?? 0);
  const entries = files.map(({ path, bytes, large }) => ({
    type: "file",
    path,
    size: bytes.length,
    oid: gitHash(bytes),
    ...(large === true && { lfs: { oid: contentHash(bytes), size: bytes.length, pointerSize: 130 } }),
  }));
  const next = new URL(url.href);
  next.searchParams.set("cursor", String(cursor + 2));
  json(
    200,
    [...(cursor === 0 ? [{ type: "directory", path: "folder", size: 0, oid: hub.commit }] : []), ...entries.slice(cursor, cursor + 2)],
    {
      ...(cursor + 2 < files.length && { link: `<${next.href}>; rel="next"` }),
    },
  );
}

function send(bytes: Uint8Array, etag: string, fault: Fault | undefined, { range }: SeenRequest, response: ServerResponse): void {
  const [, first = "0", last = ""] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const start = fault?.kind === "ignore range" ? 0 : Number(first);
  const end = last === "" || fault?.kind === "ignore range" ? bytes.length : Math.min(Number(last) + 1, bytes.length);
  const partial = range !== undefined && fault?.kind !== "ignore range";
  const body = fault?.kind === "other bytes" ? new Uint8Array(end - start) : bytes.subarray(start, end);
  response.writeHead(partial ? 206 : 200, {
    "content-length": String(end - start),
    etag,
    ...(partial && { "content-range": `bytes ${start}-${end - 1}/${bytes.length}` }),
  });
  if (fault?.kind !== "cut" && fault?.kind !== "stall") return void response.end(body);
  response.write(body.subarray(0, fault.after), () => {
    if (fault.kind === "cut") setTimeout(() => response.destroy(), 20);
  });
}

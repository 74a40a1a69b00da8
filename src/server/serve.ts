/** `serve`: a model behind HTTP, in the shape of OpenAI's API. */
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import pino, { type Logger } from "pino";
import type { FrugalModel } from "../serving/model.ts";
import { FrugalError } from "../tensor/error.ts";
import { createApp } from "./app.ts";
import type { ServedModel, ServerContext, ServerObserver } from "./context.ts";
import { failureOf, HttpError } from "./errors.ts";
import { packageVersion } from "./routes/version.ts";
import { type ServeOptions, type ServerSettings, settle } from "./settings.ts";

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  /** As `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly port: number;
  /** Requests under way. */
  active(): number;
  /** Listens to what happens, for counting. The returned function ends it. */
  observe(observer: ServerObserver): () => void;
  /**
   * Takes no more requests (503), lets the running ones finish for `grace` seconds, ends what is left then, and closes. At once where
   * nothing runs. The models stay loaded: they are the caller's.
   */
  close(options?: { readonly grace?: number }): Promise<void>;
}

/**
 * Serves a model, or several by name, until `close`. Rejects with FRUGAL_BAD_ARGUMENT for options that are wrong or a port that is taken.
 * ```ts
 * import { load } from "frugal";
 * import { serve } from "frugal/server";
 * await using model = await load("model.gguf");
 * await using server = await serve(model, { port: 8080, apiKeys: ["secret"] });
 * console.log(server.url);
 * ```
 */
export async function serve(
  models: FrugalModel | Readonly<Record<string, FrugalModel>>,
  options: ServeOptions = {},
): Promise<RunningServer> {
  const settings = settle(options);
  options.signal?.throwIfAborted();
  const served = servedModels(models, settings);
  const version = packageVersion();
  const context: ServerContext = {
    models: served,
    settings,
    log: logger(options.log ?? "info"),
    observers: new Set(),
    onClose: new Set(),
    active: new Set(),
    fingerprint: fingerprintOf(served, version),
    version,
    started: Math.floor(Date.now() / 1000),
    draining: false,
  };
  const server = httpServer(createApp(context).fetch as Fetch, settings);
  const port = await listen(server, settings);
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  let closed: Promise<void> | undefined;
  const running: RunningServer = {
    url: `http://${host}:${port}`,
    port,
    active: () => context.active.size,
    observe(observer) {
      context.observers.add(observer);
      return () => context.observers.delete(observer);
    },
    close: ({ grace = settings.grace } = {}) => (closed ??= drain(context, server, grace)),
    [Symbol.asyncDispose]: () => running.close(),
  };
  options.signal?.addEventListener("abort", () => void running.close(), { once: true });
  return running;
}

type Fetch = Parameters<typeof getRequestListener>[0];

function httpServer(fetch: Fetch, { receiveTimeout, idleTimeout }: ServerSettings): Server {
  const server = createServer(
    {
      headersTimeout: receiveTimeout * 1000,
      requestTimeout: receiveTimeout * 3000,
      keepAliveTimeout: idleTimeout * 1000,
      connectionsCheckingInterval: Math.min(1000, receiveTimeout * 500),
    },
    getRequestListener(fetch, {
      overrideGlobalObjects: false,
      errorHandler: () =>
        Response.json(failureOf(new HttpError(400, "server: the address or the Host header is malformed")).body, { status: 400 }),
    }),
  );
  server.on("clientError", answerMalformed);
  return server;
}

/** Where the bytes were no HTTP, or came too slowly: there is no request yet to answer in any other way. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const [status, reason, message] =
    error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? [408, "Request Timeout", "server: the request took too long to arrive; send it faster"]
      : error.code === "HPE_HEADER_OVERFLOW"
        ? [431, "Request Header Fields Too Large", "server: the headers are too long; send at most 16 KiB"]
        : [400, "Bad Request", "server: this is no HTTP request"];
  const body = JSON.stringify(failureOf(new HttpError(status as number, message as string)).body);
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function listen(server: Server, { port, host }: ServerSettings): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const taken = error.code === "EADDRINUSE";
      reject(
        new FrugalError(
          "FRUGAL_BAD_ARGUMENT",
          `serve: cannot listen on ${host}:${port} (${error.code ?? error.message}); ${taken ? "another process does, so take another port" : "choose another host or port"}`,
          { port, host },
          { cause: error },
        ),
      );
    });
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

async function drain(context: ServerContext, server: Server, grace: number): Promise<void> {
  context.draining = true;
  const deadline = performance.now() + grace * 1000;
  while (context.active.size > 0 && performance.now() < deadline) await sleep(10);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  for (const scope of context.active)
    scope.abort(new HttpError(503, "server: shut down before the answer was complete; ask again", { code: "shutting_down" }));
  // What was aborted gets a moment to say so to its client.
  const timer = setTimeout(() => server.closeAllConnections(), 1000);
  await closed;
  clearTimeout(timer);
  for (const end of context.onClose) end();
}

function servedModels(models: FrugalModel | Readonly<Record<string, FrugalModel>>, { servedName }: ServerSettings): readonly ServedModel[] {
  if (isModel(models)) return [{ name: servedName ?? models.name, model: models }];
  const named = Object.entries(models).map(([name, model]) => ({ name, model }));
  if (named.length > 0 && named.every(({ model }) => isModel(model))) return named;
  throw new FrugalError("FRUGAL_BAD_ARGUMENT", "serve: neither a model nor an object of models by name; give what load returns");
}

const isModel = (value: unknown): value is FrugalModel =>
  typeof value === "object" && value !== null && typeof (value as FrugalModel).generate === "function";

function logger(log: NonNullable<ServeOptions["log"]>): Logger {
  if (typeof log !== "string") return log;
  return pino({ level: log, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
}

function fingerprintOf(models: readonly ServedModel[], version: string): string {
  const what = models.map(({ name, model }) => [name, model.name, model.family, model.backend.description]);
  return `fp_${createHash("sha256")
    .update(JSON.stringify([version, what]))
    .digest("hex")
    .slice(0, 10)}`;
}

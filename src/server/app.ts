/** The HTTP application: what happens to every request before and after its route. */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Context, Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { nearest } from "../tensor/error.ts";
import { observe, type ServerContext, type ServerEnv } from "./context.ts";
import { failureOf, HttpError } from "./errors.ts";
import { openScope, type RequestScope } from "./request-scope.ts";
import { routes } from "./routes/index.ts";
import type { ServerSettings } from "./settings.ts";

export type ServerApp = Hono<ServerEnv>;

/** The paths that answer without a key, and while the server shuts down. */
const openPaths: readonly string[] = ["/health", "/ready"];

export function createApp(context: ServerContext): ServerApp {
  const app: ServerApp = new Hono<ServerEnv>();
  const keys = context.settings.apiKeys.map(digest);

  app.use("*", async (c, next) => {
    const { incoming, outgoing } = c.env;
    const scope = openScope(context, incoming, outgoing);
    c.set("scope", scope);
    allowOrigin(context.settings, scope);
    if (c.req.method === "OPTIONS" && context.settings.cors.length > 0) return c.body(null, 204);
    const isOpen = openPaths.includes(c.req.path);
    if (!isOpen && keys.length > 0) scope.tenant = tenantOf(incoming.headers.authorization, keys);
    if (!isOpen && context.draining)
      throw new HttpError(503, "server: is shutting down and takes no more requests; ask another", {
        code: "shutting_down",
        headers: { connection: "close" },
      });
    scope.route = routeOf(app, c);
    observe(context, (observer) => observer.requestStarted?.(scope.route));
    return next();
  });

  for (const route of routes) app.route("/", route(context));

  app.notFound((c) => {
    throw unknownPath(app, c);
  });
  app.onError((error, c) => answerError(c.get("scope"), error, c));
  return app;
}

/** An error as the response, where none has begun. */
function answerError(scope: RequestScope, error: unknown, c: Context<ServerEnv>): Response {
  const { status, body, headers } = failureOf(error);
  scope.failure = error;
  // Nothing of the request goes on, whatever else it had begun.
  scope.abort(error);
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
  return c.json(body, status as ContentfulStatusCode);
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Compares digests, and all of them, so that the time taken tells nothing of any key. */
function tenantOf(header: string | undefined, keys: readonly Buffer[]): string {
  const given = digest(/^Bearer (.+)$/i.exec(header ?? "")?.[1]?.trim() ?? "");
  let found = -1;
  keys.forEach((key, i) => {
    if (timingSafeEqual(key, given)) found = i;
  });
  if (found >= 0) return `key ${found}`;
  throw new HttpError(401, "server: the request has no valid key; send the header Authorization: Bearer KEY", {
    code: "invalid_api_key",
    headers: { "www-authenticate": "Bearer" },
  });
}

function allowOrigin({ cors }: ServerSettings, { incoming, outgoing }: RequestScope): void {
  const origin = incoming.headers.origin;
  if (origin === undefined || cors.length === 0) return;
  if (cors !== "*" && !cors.includes(origin)) return;
  outgoing.setHeader("access-control-allow-origin", cors === "*" ? "*" : origin);
  if (cors !== "*") outgoing.setHeader("vary", "origin");
  outgoing.setHeader("access-control-expose-headers", "x-request-id, retry-after");
  if (incoming.method !== "OPTIONS") return;
  outgoing.setHeader("access-control-allow-methods", "GET, POST, DELETE, OPTIONS");
  outgoing.setHeader("access-control-allow-headers", incoming.headers["access-control-request-headers"] ?? "authorization, content-type");
  outgoing.setHeader("access-control-max-age", "86400");
}

/** Routes that are no middleware. */
const realRoutes = (app: ServerApp): ServerApp["routes"] => app.routes.filter(({ method }) => method !== "ALL");

const matches = (pattern: string, path: string): boolean => {
  const [wanted, given] = [pattern.split("/"), path.split("/")];
  return wanted.length === given.length && wanted.every((part, i) => (part.startsWith(":") ? given[i] !== "" : part === given[i]));
};

const routeOf = (app: ServerApp, c: Context<ServerEnv>): string =>
  realRoutes(app).find(({ path }) => matches(path, c.req.path))?.path ?? "unknown";

function unknownPath(app: ServerApp, c: Context<ServerEnv>): HttpError {
  const { path, method } = c.req;
  const methods = [
    ...new Set(
      realRoutes(app)
        .filter((route) => matches(route.path, path))
        .map((route) => route.method),
    ),
  ];
  if (methods.length > 0)
    return new HttpError(405, `server: ${path} does not take ${method}; it takes ${methods.join(", ")}`, {
      code: "method_not_allowed",
      headers: { allow: methods.join(", ") },
    });
  const near = nearest(path, new Set(realRoutes(app).map((route) => route.path)));
  return new HttpError(
    404,
    `server: there is no ${path.slice(0, 200)}${near === undefined ? "; see /openapi.json" : `; did you mean ${near}?`}`,
    {
      code: "unknown_url",
    },
  );
}

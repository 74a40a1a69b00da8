/** GET /health: the process lives. GET /ready: it takes requests. */
import { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";

export function health(context: ServerContext): Hono<ServerEnv> {
  return new Hono<ServerEnv>()
    .get("/health", (c) => c.json({ status: "ok" }))
    .get("/ready", (c) => {
      if (context.draining) throw new HttpError(503, "server: is shutting down; ask another", { code: "shutting_down" });
      return c.json({ status: "ready" });
    });
}

/** GET /health: the process lives. GET /ready: it takes requests, for it does not shut down and a queue has room. */
import { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";

export function health(context: ServerContext): Hono<ServerEnv> {
  return new Hono<ServerEnv>()
    .get("/health", (c) => c.json({ status: "ok" }))
    .get("/ready", (c) => {
      if (context.draining) throw new HttpError(503, "server: is shutting down; ask another", { code: "shutting_down" });
      for (const { name, model } of context.models) {
        if (model.kind !== "text") continue;
        const { waiting, queueLimit, predictedWaitSeconds } = model.stats();
        if (waiting >= queueLimit)
          throw new HttpError(503, `server: ${waiting} texts wait for ${name} already; come back later`, {
            code: "queue_full",
            headers: { "retry-after": String(Math.max(1, Math.ceil(predictedWaitSeconds))) },
          });
      }
      return c.json({ status: "ready" });
    });
}

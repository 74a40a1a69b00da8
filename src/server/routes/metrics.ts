/** GET /metrics: what was counted, for Prometheus. */
import { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";
import { createMetrics } from "../metrics.ts";

export function metrics(context: ServerContext): Hono<ServerEnv> {
  const counted = createMetrics(context.models);
  context.observers.add(counted.observer);
  context.onClose.add(() => counted.close());
  return new Hono<ServerEnv>().get("/metrics", async (c) => c.body(await counted.write(), 200, { "content-type": counted.contentType }));
}

/** GET /openapi.json. */
import { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";
import { describeApi } from "../openapi/describe.ts";

export function openapi(context: ServerContext): Hono<ServerEnv> {
  let made: object | undefined;
  return new Hono<ServerEnv>().get("/openapi.json", (c) =>
    c.json((made ??= describeApi(context.version, context.settings.apiKeys.length > 0))),
  );
}

/** POST /v1/completions: goes on with texts. */
import { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";
import { HttpError } from "../errors.ts";

export function completions(_context: ServerContext): Hono<ServerEnv> {
  return new Hono<ServerEnv>().post("/v1/completions", () => {
    throw new HttpError(501, "completions: are not there yet");
  });
}

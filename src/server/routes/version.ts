/** GET /version. */
import { readFileSync } from "node:fs";
import { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";

/** As deep in dist as the command line's bundle is, so that both find package.json. */
export const packageVersion = (): string =>
  (JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as { readonly version: string }).version;

export const version = (context: ServerContext): Hono<ServerEnv> =>
  new Hono<ServerEnv>().get("/version", (c) => c.json({ version: context.version }));

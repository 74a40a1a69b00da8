/** All endpoints. One line each. */
import type { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";
import { chatCompletions } from "./chat-completions.ts";
import { completions } from "./completions.ts";
import { health } from "./health.ts";
import { version } from "./version.ts";

/** Makes an endpoint's routes for a server. */
export type Routes = (context: ServerContext) => Hono<ServerEnv>;

export const routes: readonly Routes[] = [health, version, chatCompletions, completions];

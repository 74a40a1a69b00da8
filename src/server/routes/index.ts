/** All endpoints. One line each. */
import type { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";
import { adapters } from "./adapters.ts";
import { chatCompletions } from "./chat-completions.ts";
import { completions } from "./completions.ts";
import { embeddings } from "./embeddings.ts";
import { health } from "./health.ts";
import { metrics } from "./metrics.ts";
import { models } from "./models.ts";
import { openapi } from "./openapi.ts";
import { rerank } from "./rerank.ts";
import { responses } from "./responses.ts";
import { tokenize } from "./tokenize.ts";
import { version } from "./version.ts";

/** Makes an endpoint's routes for a server. */
export type Routes = (context: ServerContext) => Hono<ServerEnv>;

export const routes: readonly Routes[] = [
  health,
  version,
  models,
  chatCompletions,
  completions,
  responses,
  embeddings,
  rerank,
  tokenize,
  adapters,
  metrics,
  openapi,
];

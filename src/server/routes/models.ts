/** GET /v1/models and /v1/models/{id}: the models served, and their adapters as models. */
import { Hono } from "hono";
import type { ServerContext, ServerEnv } from "../context.ts";
import { adaptersOf, findModel } from "../find-model.ts";

/** A model as OpenAI's API lists it, with the fields that vLLM adds. */
export interface ModelCard {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
  /** The model's own name. */
  readonly root: string;
  /** Of an adapter: the model beneath. */
  readonly parent: string | null;
  readonly max_model_len: number;
}

export function models(context: ServerContext): Hono<ServerEnv> {
  const card = (id: string, served: ServerContext["models"][number], parent: string | null): ModelCard => ({
    id,
    object: "model",
    created: context.started,
    owned_by: "frugal",
    root: parent === null ? served.model.name : id,
    parent,
    max_model_len: served.model.contextLength,
  });
  const cards = (): ModelCard[] =>
    context.models.flatMap((served) => [
      card(served.name, served, null),
      ...adaptersOf(served.model).map(({ name }) => card(name, served, served.name)),
    ]);
  return new Hono<ServerEnv>()
    .get("/v1/models", (c) => c.json({ object: "list", data: cards() }))
    .get("/v1/models/:id", (c) => {
      const { name } = findModel(context, c.req.param("id"));
      return c.json(cards().find(({ id }) => id === name)!);
    });
}

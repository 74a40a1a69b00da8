/** POST /v1/rerank and /rerank: documents in the order in which they answer a query, in the shape of Jina's and Cohere's API. */
import { Hono } from "hono";
import { z } from "zod";
import { answerId } from "../answer.ts";
import { checkCharacters, mostCharacters } from "../check-length.ts";
import type { ServerContext, ServerEnv } from "../context.ts";
import { findEncoder } from "../find-model.ts";
import { readJson } from "../read-json.ts";
import { type BodyShape, flag, type Maybe, record, text, whole } from "../schema.ts";

export interface RerankRequest {
  readonly model?: Maybe<string>;
  readonly query: string;
  readonly documents: readonly (string | { readonly text: string })[];
  readonly top_n?: Maybe<number>;
  readonly return_documents?: Maybe<boolean>;
  readonly truncate?: Maybe<boolean>;
}

export const rerankRequest: BodyShape<RerankRequest> = {
  schema: record<RerankRequest>({
    model: text,
    query: z.string().min(1),
    documents: z
      .array(z.union([z.string().min(1), record<{ text: string }>({ text: z.string().min(1) })]))
      .min(1)
      .max(2048),
    top_n: whole(1, 2 ** 31),
    return_documents: flag,
    truncate: flag,
  }),
  refused: {
    truncate_prompt_tokens: "take truncate: true to cut documents at the model's context",
    max_tokens_per_doc: "take truncate: true to cut documents at the model's context",
    max_chunks_per_doc: "documents are read whole; cut them yourself",
    rank_fields: "documents are text; put the fields into it",
  },
};

/** Documents computed between two looks at whether the client is still there. */
const atOnce = 64;

export function rerank(context: ServerContext): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>();
  for (const path of ["/v1/rerank", "/rerank"])
    app.post(path, async (c) => {
      const { signal } = c.get("scope");
      const request = await readJson(c.get("scope"), rerankRequest, context.settings.bodyLimit);
      const { name, model } = findEncoder(context, request.model);
      const truncate = request.truncate === true;
      const most = await mostCharacters(model);
      const documents = request.documents.map((document) => (typeof document === "string" ? document : document.text));
      await checkCharacters(model, request.query);
      if (!truncate) for (const document of documents) await checkCharacters(model, document);
      const scores: number[] = [];
      for (let first = 0; first < documents.length; first += atOnce) {
        const some = documents.slice(first, first + atOnce).map((document) => document.slice(0, most));
        scores.push(...(await model.rerank(request.query, some, { truncate, signal })));
      }
      const tokenizer = await model.tokenizer();
      const count = (document: string): number => Math.min(model.contextLength, tokenizer.encode(document.slice(0, most)).length);
      const tokens = documents.reduce((sum, document) => sum + count(document), count(request.query));
      const results = scores
        .map((score, index) => ({
          index,
          relevance_score: score,
          ...(request.return_documents === true ? { document: { text: documents[index]! } } : {}),
        }))
        .sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
        .slice(0, request.top_n ?? documents.length);
      return c.json({
        id: answerId("rerank"),
        object: "list",
        model: name,
        results,
        usage: { prompt_tokens: tokens, total_tokens: tokens },
      });
    });
  return app;
}

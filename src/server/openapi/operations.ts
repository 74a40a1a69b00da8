/** Every endpoint as data: what it takes and what it answers. A test holds this list against the routes. */
import type { z } from "zod";
import { adapterLoadRequest, adapterUnloadRequest } from "../routes/adapters.ts";
import { chatRequest } from "../routes/chat-completions.ts";
import { completionRequest } from "../routes/completions.ts";
import { embeddingsRequest } from "../routes/embeddings.ts";
import { rerankRequest } from "../routes/rerank.ts";
import { detokenizeRequest, tokenizeRequest } from "../routes/tokenize.ts";
import { responsesRequest } from "../responses/request.ts";
import type { BodyShape } from "../schema.ts";
import * as answers from "./answers.ts";

export interface Operation {
  readonly method: "get" | "post" | "delete";
  /** Parameters as `{id}`. */
  readonly path: string;
  readonly summary: string;
  readonly body?: BodyShape<unknown>;
  /** A schema of JSON, or the type of a text. */
  readonly answer: z.ZodType | string;
  /** Of the path's parameter. */
  readonly example?: string;
  /** With `stream: true` it answers with server-sent events. */
  readonly streams?: boolean;
  /** Statuses beside 200 and those that all of its kind have. */
  readonly statuses?: readonly number[];
  /** Answers without a key, and while the server shuts down. */
  readonly isOpen?: boolean;
}

const rerank = {
  method: "post",
  summary: "Documents in the order in which they answer a query",
  body: rerankRequest,
  answer: answers.ranking,
} as const;

export const operations: readonly Operation[] = [
  {
    method: "post",
    path: "/v1/chat/completions",
    summary: "Answers a conversation",
    body: chatRequest,
    answer: answers.chatCompletion,
    streams: true,
  },
  {
    method: "post",
    path: "/v1/completions",
    summary: "Goes on with texts",
    body: completionRequest,
    answer: answers.completion,
    streams: true,
  },
  {
    method: "post",
    path: "/v1/responses",
    summary: "Answers a conversation",
    body: responsesRequest,
    answer: answers.response,
    streams: true,
  },
  { method: "get", path: "/v1/responses/{id}", summary: "A response that was kept", answer: answers.response },
  { method: "delete", path: "/v1/responses/{id}", summary: "Forgets a response", answer: answers.deletedResponse },
  { method: "post", path: "/v1/embeddings", summary: "Vectors of texts", body: embeddingsRequest, answer: answers.embeddingList },
  { ...rerank, path: "/v1/rerank" },
  { ...rerank, path: "/rerank" },
  { method: "get", path: "/v1/models", summary: "The models served, adapters among them", answer: answers.modelList },
  { method: "get", path: "/v1/models/{id}", summary: "A model", example: "default", answer: answers.model },
  { method: "post", path: "/tokenize", summary: "Token ids of a text or a conversation", body: tokenizeRequest, answer: answers.tokens },
  { method: "post", path: "/detokenize", summary: "The text of token ids", body: detokenizeRequest, answer: answers.detokenized },
  {
    method: "post",
    path: "/v1/load_lora_adapter",
    summary: "Loads an adapter from the server's directory of adapters",
    body: adapterLoadRequest,
    answer: "text/plain",
    statuses: [403],
  },
  {
    method: "post",
    path: "/v1/unload_lora_adapter",
    summary: "Unloads an adapter",
    body: adapterUnloadRequest,
    answer: "text/plain",
    statuses: [403],
  },
  { method: "get", path: "/health", summary: "The process lives", answer: answers.status, isOpen: true },
  { method: "get", path: "/ready", summary: "The server takes requests", answer: answers.status, statuses: [503], isOpen: true },
  { method: "get", path: "/metrics", summary: "What was counted, for Prometheus", answer: "text/plain" },
  { method: "get", path: "/version", summary: "The server's version", answer: answers.version },
  { method: "get", path: "/openapi.json", summary: "This description", answer: "application/json" },
];

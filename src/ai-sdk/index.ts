/** `frugal/ai-sdk`: models of this process for the AI SDK. Only types of the SDK are read, so it is no dependency at run time. */
export { frugal } from "./language-model.ts";
export { frugalEmbedding } from "./embedding-model.ts";

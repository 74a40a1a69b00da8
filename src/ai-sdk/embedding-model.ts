/** An encoder as an embedding model of the AI SDK. */
import type { EmbeddingModelV3 } from "@ai-sdk/provider";
import type { FrugalModel } from "../serving/model.ts";
import { FrugalError } from "../tensor/error.ts";

/**
 * An encoder in this process as an embedding model for `embed` and `embedMany`. `usage.tokens` counts the special tokens too.
 * Provider options under `frugal`: `normalize` and `truncate`, as `model.embed` has them.
 * @throws FRUGAL_UNSUPPORTED for a model that writes text.
 * ```ts
 * import { load } from "frugal";
 * import { frugalEmbedding } from "frugal/ai-sdk";
 * import { embedMany } from "ai";
 * await using model = await load("all-MiniLM-L6-v2");
 * const { embeddings } = await embedMany({ model: frugalEmbedding(model), values: ["a cat", "a dog"] });
 * ```
 */
export function frugalEmbedding(model: FrugalModel): EmbeddingModelV3 {
  if (model.kind !== "encoder")
    throw new FrugalError("FRUGAL_UNSUPPORTED", `ai-sdk: ${model.name} writes text and has no embeddings; take an encoder`, {
      kind: model.kind,
    });
  return {
    specificationVersion: "v3",
    provider: "frugal",
    modelId: model.name,
    maxEmbeddingsPerCall: undefined,
    supportsParallelCalls: true,
    async doEmbed({ values, abortSignal, providerOptions }) {
      const tokenizer = await model.tokenizer();
      const vectors = await model.embed(values, {
        ...providerOptions?.["frugal"],
        ...(abortSignal === undefined ? {} : { signal: abortSignal }),
      });
      return {
        embeddings: vectors.map((vector) => [...vector]),
        usage: { tokens: values.reduce((sum, text) => sum + Math.min(tokenizer.encode(text).length, model.contextLength), 0) },
        warnings: [],
      };
    },
  };
}

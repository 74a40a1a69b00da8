/** Documents scored against a query: by a cross-encoder that reads both at once, or by the embeddings of each. */
import { FrugalError } from "../tensor/error.ts";
import { embedTexts, type EncoderText, runEncoder } from "./embed.ts";
import type { ModelParts } from "./load-parts.ts";

/** Options of `rerank`. */
export interface RerankOptions {
  /** Cut documents that do not fit beside the query. Default false: they are refused. */
  readonly truncate?: boolean;
  readonly signal?: AbortSignal;
}

/** One score a document; see `FrugalModel.rerank`. */
export async function rerankTexts(
  parts: ModelParts,
  query: string,
  documents: readonly string[],
  options: RerankOptions,
): Promise<number[]> {
  const { model, opened, graph } = parts;
  if (model.kind !== "encoder")
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `rerank: ${opened.name} writes text and scores none; take a cross-encoder such as ms-marco-MiniLM-L6-v2, or an encoder of texts`,
      { kind: model.kind },
    );
  const labels = graph.outputs.get("logits")?.shape[1];
  if (labels === undefined) return cosines(await embedTexts(parts, [query, ...documents], { ...options, normalize: true }));
  if (labels !== 1)
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `rerank: ${opened.name} is a classifier of ${String(labels)} labels; take one with a single label, or an encoder without a classifier`,
      { labels: Number(labels) },
    );
  const tokenizer = await opened.tokenizer();
  const most = options.truncate === true ? parts.context : Infinity;
  const pairs: EncoderText[] = documents.map((document) => tokenizer.encodePair(query, document, most));
  const scores: number[] = [];
  for await (const { outputs } of runEncoder(parts, pairs, options.signal))
    for (const logit of outputs["logits"] as Float32Array) scores.push(1 / (1 + Math.exp(-logit)));
  return scores;
}

function cosines([query, ...others]: readonly Float32Array[]): number[] {
  return others.map((vector) => vector.reduce((sum, x, i) => sum + x * query![i]!, 0));
}

/**
 * Perplexity as llama.cpp's llama-perplexity counts it: the text's tokens are cut into chunks of `context`, the first token of each chunk is
 * replaced by BOS where the model adds one, and of each chunk the tokens after its first half are scored.
 */
import { logSumExp } from "../serving/exponential.ts";
import type { ModelParts } from "../serving/load-parts.ts";
import { readLogits } from "../serving/read-logits.ts";
import { FrugalError } from "../tensor/error.ts";

export interface PerplexityOptions {
  /** Tokens in a chunk. */
  readonly context: number;
  /** Score only so many chunks. Default: all. */
  readonly chunks?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly chunk: number; readonly of: number; readonly perplexity: number }) => void;
}

export interface Perplexity {
  /** exp of the mean negative log probability of the scored tokens. */
  readonly perplexity: number;
  /** Of the perplexity, from the spread of the tokens' log probabilities. */
  readonly standardError: number;
  /** How many tokens were scored. */
  readonly tokens: number;
}

/** Rejects with FRUGAL_BAD_ARGUMENT where the text is too short for two chunks, as llama.cpp demands. */
export async function measurePerplexity(parts: ModelParts, text: string, options: PerplexityOptions): Promise<Perplexity> {
  const { context, signal, onProgress } = options;
  if (parts.engine === undefined)
    throw new FrugalError("FRUGAL_UNSUPPORTED", `perplexity: ${parts.opened.name} is an encoder and predicts no text; take a text model`);
  const tokenizer = await parts.opened.tokenizer();
  const ids = tokenizer.encode(text);
  if (ids.length < 2 * context)
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `perplexity: the text has ${ids.length} tokens, but two chunks of ${context} need ${2 * context}; take a longer text or a shorter context`,
      {
        tokens: ids.length,
        needed: 2 * context,
      },
    );
  const count = Math.min(options.chunks ?? Infinity, Math.floor(ids.length / context));
  const first = Math.floor(context / 2);
  let [scored, sum, squares] = [0, 0, 0];
  for (let chunk = 0; chunk < count; chunk++) {
    const tokens = ids.slice(chunk * context, (chunk + 1) * context);
    if (tokenizer.addBos && tokenizer.bos !== undefined) tokens[0] = tokenizer.bos;
    // The chunk's last logits would predict a token that is not in it.
    await readLogits(
      parts.engine,
      tokens.subarray(0, context - 1),
      first,
      (position, logits) => {
        const loss = logSumExp(logits) - logits[tokens[position + 1]!]!;
        scored++;
        sum += loss;
        squares += loss * loss;
      },
      signal,
    );
    onProgress?.({ chunk: chunk + 1, of: count, perplexity: Math.exp(sum / scored) });
  }
  const mean = sum / scored;
  const variance = squares / scored - mean * mean;
  const perplexity = Math.exp(mean);
  return { perplexity, standardError: variance > 0 && scored > 1 ? perplexity * Math.sqrt(variance / (scored - 1)) : 0, tokens: scored };
}

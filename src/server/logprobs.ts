/** Log probabilities in the two shapes that OpenAI's API has. */
import type { Part } from "../serving/generation.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  /** Of the token alone: a character may be spread over several. */
  readonly bytes: readonly number[];
}

/** Of chat completions. */
export interface ChatLogprob extends TokenLogprob {
  readonly top_logprobs: readonly TokenLogprob[];
}

/** Of completions: lists side by side. */
export interface TextLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Readonly<Record<string, number>> | null)[];
  readonly text_offset: number[];
}

/** The least a client may see: JSON has no infinity, and OpenAI says -9999 of what is very unlikely. */
const finite = (logprob: number): number => Math.max(-9999, logprob);

// Holds no state between calls.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A token's own text; special ones as the vocabulary spells them. */
export function tokenText(tokenizer: Tokenizer, id: number): string {
  if (id >= tokenizer.vocabularySize) return "";
  return tokenizer.isSpecial(id) ? tokenizer.pieceText(id) : decoder.decode(tokenizer.pieceBytes(id));
}

function tokenLogprob(tokenizer: Tokenizer, id: number, logprob: number): TokenLogprob {
  const bytes = id < tokenizer.vocabularySize ? [...tokenizer.pieceBytes(id)] : [];
  return { token: tokenText(tokenizer, id), logprob: finite(logprob), bytes };
}

export const chatLogprob = (tokenizer: Tokenizer, { id, logprob = 0, alternatives = [] }: Part): ChatLogprob => ({
  ...tokenLogprob(tokenizer, id, logprob),
  top_logprobs: alternatives.map((other) => tokenLogprob(tokenizer, other.id, other.logprob)),
});

/** A token and what is known of it; without `logprob` it is the first of a text. */
export type Scored = Pick<Part, "id" | "logprob" | "alternatives">;

/** `offset` is where the first token's text begins. The chosen token is always among the alternatives, as OpenAI has it. */
export function textLogprobs(
  tokenizer: Tokenizer,
  parts: readonly Scored[],
  offset: number,
): { readonly logprobs: TextLogprobs; readonly end: number } {
  const logprobs: TextLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  let end = offset;
  for (const { id, logprob, alternatives = [] } of parts) {
    const token = tokenText(tokenizer, id);
    logprobs.tokens.push(token);
    logprobs.token_logprobs.push(logprob === undefined ? null : finite(logprob));
    logprobs.text_offset.push(end);
    logprobs.top_logprobs.push(
      logprob === undefined
        ? null
        : Object.fromEntries([
            ...alternatives.map((other) => [tokenText(tokenizer, other.id), finite(other.logprob)] as const),
            [token, finite(logprob)],
          ]),
    );
    end += token.length;
  }
  return { logprobs, end };
}

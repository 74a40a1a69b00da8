/**
 * Prompts of a wanted length without a tokenizer: cut from a text, made of ids, or made of words that nearly every vocabulary has as one
 * token. What a prompt really has is what the server counts.
 */
import { philox } from "../../tensor/random.ts";
import { hashedTokens } from "./traces.ts";

export type PromptText = string | readonly number[];

export type PromptSource =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "ids"; readonly vocabulary: number }
  | { readonly kind: "words" };

const words =
  "the of and to in is that for it was on are as with his they at be this from have or by one had not but what all were when we there can an your which their said if do will each about how up out them then she many some so these would other into has more her two like him see time could no make than first been its who now people my made over did down only way find use may water long little very after words called just where most know get through back much before go good new write our used me man too any day same right look think also around another came come work three word must because does part even place well such here take why things help put years different away again off went old number great tell men say small every found still between name should home big give air line set own under read last never us left end along while might next sound below saw something thought both few those always looked show large often together asked house world going want school important until form food keep children feet land side without boy once animals life enough took sometimes four head above kind began almost live page got earth need far hand high year mother light parts country father let night following picture being study second eyes soon times story boys since white days ever paper hard near sentence better best across during today others however sure means knew try told young miles sun ways thing whole hear example heard several change answer room sea against top turned learn point city play toward five using himself usually".split(
    " ",
  );

/** English has a little under four characters a token, spaces included. */
const charactersPerToken = 4;

export interface PromptMaker {
  /** `index` of `count` prompts; with `hashIds`, blocks of `blockTokens` tokens that are equal where the numbers are. */
  make(index: number, tokens: number, hashIds?: readonly number[], blockTokens?: number): PromptText;
}

/**
 * `shared` tokens at the beginning are the same in all prompts. The same seed makes the same prompts.
 * @example promptMaker({ kind: "words" }, { count: 8, seed: 0, shared: 0 }).make(0, 3); // three words
 */
export function promptMaker(
  source: PromptSource,
  { count, seed, shared }: { readonly count: number; readonly seed: number; readonly shared: number },
): PromptMaker {
  // Streams of their own for what all share, for each block of a trace, and for each prompt.
  const piece = (stream: number, key: number, tokens: number): readonly (string | number)[] =>
    Array.from({ length: tokens }, (_, i) => {
      const random = philox([i, key >>> 0, Math.floor(key / 2 ** 32), stream], [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0])[0];
      // The lowest ids are often bytes and control tokens; those of small vocabularies are all there is.
      return source.kind === "ids" ? random % source.vocabulary : words[random % words.length]!;
    });
  const join = (pieces: readonly (string | number)[]): PromptText =>
    source.kind === "ids" ? (pieces as readonly number[]) : pieces.join(" ");
  return {
    make(index, tokens, hashIds, blockTokens = hashedTokens) {
      if (hashIds !== undefined) {
        const blocks = hashIds.flatMap((id) => piece(1, id, blockTokens)).slice(0, tokens);
        return join([...blocks, ...piece(2, index, tokens - blocks.length)]);
      }
      const common = Math.min(shared, tokens);
      if (source.kind !== "text") return join([...piece(0, 0, common), ...piece(2, index, tokens - common)]);
      const { text } = source;
      const own = (tokens - common) * charactersPerToken;
      const begin = common * charactersPerToken;
      // Evenly spread over the rest of the text; a text too short is read again from its beginning.
      const stride = Math.max(1, Math.floor((text.length - begin - own) / count));
      const start = begin + index * stride;
      return text.slice(0, begin) + cyclic(text, start, own);
    },
  };
}

function cyclic(text: string, start: number, length: number): string {
  const from = start % text.length;
  return text.repeat(Math.ceil((from + length) / text.length)).slice(from, from + length);
}

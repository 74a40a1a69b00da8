/** Text to token ids and back: the record every kind of tokenizer ends up as, and what they all share. */
import { FrugalError } from "../tensor/error.ts";
import { type StringTable, stringAt } from "../tensor/strings.ts";
import type { AddedTokens } from "./added-tokens.ts";
import type { Between } from "./json-around.ts";
import { type TokenBuffer, tokenBuffer } from "./token-buffer.ts";

export interface EncodeOptions {
  /** Add what the model expects around a text (BOS, EOS, CLS, SEP). Default true. */
  readonly addSpecial?: boolean;
  /** Let special tokens written in the text become their ids. Default false: text from outside must not control the model. */
  readonly parseSpecial?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out. Default false. */
  readonly skipSpecial?: boolean;
}

export interface Tokenizer {
  readonly vocabularySize: number;
  /** Token ids of `text`; lone surrogates count as U+FFFD. Without `parseSpecial` no special id but the unknown one comes from the text. */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /**
   * Two texts as encoders that compare them read them, and the segment of each token. `most`: the second is cut so that all fits, if it can.
   * @throws FRUGAL_UNSUPPORTED where the tokenizer is not made for pairs.
   */
  encodePair(first: string, second: string, most?: number): { readonly ids: Int32Array; readonly segments: Int32Array };
  /**
   * Token ids of a text in which special tokens are meant and `guard` marks what is not: a special token does not match across a
   * guard, and guards themselves are dropped. No special ids are added around. For chat templates.
   */
  encodeGuarded(text: string, guard: string): Int32Array;
  /** Text of `ids`; bytes that are no UTF-8 become U+FFFD. @throws FRUGAL_BAD_ARGUMENT for an id outside the vocabulary. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** The bytes that an id stands for in decoded text, perhaps part of a character. */
  pieceBytes(id: number): Uint8Array;
  /** The piece as the vocabulary spells it. */
  pieceText(id: number): string;
  /** Control and unknown tokens. */
  isSpecial(id: number): boolean;
  /** The id of the piece spelled so, special ones included. */
  idOf(piece: string): number | undefined;
  readonly bos?: number;
  readonly eos?: number;
  readonly unknown?: number;
  readonly padding?: number;
  /** Ids after which a reply is over. */
  readonly endOfGeneration: ReadonlySet<number>;
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** A space at the very start of decoded text is the tokenizer's own and is left out. */
  readonly dropsFirstSpace: boolean;
  /** The special tokens, for those who must keep them out of a text. */
  readonly specialTexts: readonly string[];
  /** Bytes of the longest piece as the vocabulary spells it. */
  readonly maximumPieceBytes: number;
}

/** Where a fragment stands: at the start of the text; right after a token that was found in the text, or at the start. */
export interface FragmentPlace {
  readonly first: boolean;
  readonly afterToken: boolean;
}

/** What the kinds of tokenizers differ in. */
export interface TokenizerParts {
  readonly pieces: StringTable;
  bytesOf(id: number): Uint8Array;
  isSpecial(id: number): boolean;
  readonly added: AddedTokens;
  /** Encodes text that holds no added token. */
  encodeFragment(text: string, place: FragmentPlace, output: TokenBuffer): void;
  /** The id of an ordinary piece, or -1; by the pieces' spelling where absent. */
  readonly findText?: (piece: string) => number;
  /** Ids around every text. Default: BOS and EOS where they are to be added. */
  readonly prefix?: readonly number[];
  readonly suffix?: readonly number[];
  readonly between?: Between;
  readonly bos?: number | undefined;
  readonly eos?: number | undefined;
  readonly unknown?: number | undefined;
  readonly padding?: number | undefined;
  readonly endOfGeneration?: ReadonlySet<number>;
  readonly addBos?: boolean;
  readonly addEos?: boolean;
  readonly dropsFirstSpace?: boolean;
}

export function assembleTokenizer(parts: TokenizerParts): Tokenizer {
  const { pieces, added, encodeFragment, bos, eos, unknown, padding, isSpecial } = parts;
  const size = pieces.length;
  const addBos = (parts.addBos ?? false) && bos !== undefined;
  const addEos = (parts.addEos ?? false) && eos !== undefined;
  const prefix = parts.prefix ?? (addBos ? [bos] : []);
  const suffix = parts.suffix ?? (addEos ? [eos] : []);
  const dropsFirstSpace = parts.dropsFirstSpace ?? false;
  const addedIds = new Map<string, number>();
  let longest: number | undefined;

  const checked = (id: number): number => {
    if (Number.isInteger(id) && id >= 0 && id < size) return id;
    throw new FrugalError(
      "FRUGAL_BAD_ARGUMENT",
      `tokenizer: id ${id} is outside the vocabulary of ${size}; pass ids from 0 to ${size - 1}`,
      { id, size },
    );
  };
  const encodePlain = (text: string, wanted: "plain" | "all", first: boolean, output: TokenBuffer): void => {
    let afterToken = true;
    added.split(
      text,
      wanted,
      (fragment, start) => {
        encodeFragment(fragment, { first: first && start === 0, afterToken }, output);
        afterToken = false;
      },
      (id) => {
        output.push(id);
        afterToken = true;
      },
    );
  };

  return {
    vocabularySize: size,
    encode(text, { addSpecial = true, parseSpecial = false } = {}) {
      const output = tokenBuffer(Math.min(1 << 16, (text.length >> 2) + 16));
      if (addSpecial) output.append(prefix);
      encodePlain(text.toWellFormed(), parseSpecial ? "all" : "plain", true, output);
      if (addSpecial) output.append(suffix);
      return output.take();
    },
    encodePair(first, second, most = Infinity) {
      if (parts.between === undefined)
        throw new FrugalError(
          "FRUGAL_UNSUPPORTED",
          "tokenizer: does not say how two texts are put together; take a model that compares texts",
        );
      const output = tokenBuffer(((first.length + second.length) >> 2) + 16);
      output.append(prefix);
      encodePlain(first.toWellFormed(), "plain", true, output);
      output.append(parts.between.ids);
      const start = output.length;
      encodePlain(second.toWellFormed(), "plain", true, output);
      const all = output.take();
      const end = Math.max(start, Math.min(all.length, most - suffix.length));
      const ids = Int32Array.from([...all.subarray(0, end), ...suffix]);
      return { ids, segments: new Int32Array(ids.length).fill(parts.between.segment, start) };
    },
    encodeGuarded(text, guard) {
      const output = tokenBuffer((text.length >> 2) + 16);
      added.split(
        text.toWellFormed(),
        "special",
        (fragment, start) => encodePlain(guard === "" ? fragment : fragment.replaceAll(guard, ""), "plain", start === 0, output),
        (id) => output.push(id),
      );
      return output.take();
    },
    decode(ids, { skipSpecial = false } = {}) {
      const parts_: Uint8Array[] = [];
      let length = 0;
      let first = true;
      for (let i = 0; i < ids.length; i++) {
        const id = checked(ids[i]!);
        if (skipSpecial && isSpecial(id)) continue;
        let bytes = parts.bytesOf(id);
        if (bytes.length === 0) continue;
        if (first && dropsFirstSpace && bytes[0] === 0x20) bytes = bytes.subarray(1);
        first = false;
        parts_.push(bytes);
        length += bytes.length;
      }
      const all = new Uint8Array(length);
      let at = 0;
      for (const bytes of parts_) {
        all.set(bytes, at);
        at += bytes.length;
      }
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(all);
    },
    pieceBytes: (id) => parts.bytesOf(checked(id)).slice(),
    pieceText: (id) => stringAt(pieces, checked(id)),
    isSpecial: (id) => isSpecial(checked(id)),
    idOf(piece) {
      if (addedIds.size === 0) for (const { text, id } of added.tokens) addedIds.set(text, id);
      const id = addedIds.get(piece) ?? parts.findText?.(piece) ?? -1;
      return id < 0 ? undefined : id;
    },
    ...(bos === undefined ? {} : { bos }),
    ...(eos === undefined ? {} : { eos }),
    ...(unknown === undefined ? {} : { unknown }),
    ...(padding === undefined ? {} : { padding }),
    endOfGeneration: parts.endOfGeneration ?? new Set(eos === undefined ? [] : [eos]),
    addBos,
    addEos,
    dropsFirstSpace,
    get specialTexts() {
      return added.tokens.filter((token) => token.special).map((token) => token.text);
    },
    get maximumPieceBytes() {
      return (longest ??= longestPiece(pieces));
    },
  };
}

function longestPiece({ offsets, length }: StringTable): number {
  let longest = 0;
  for (let id = 0; id < length; id++) longest = Math.max(longest, offsets[id + 1]! - offsets[id]!);
  return longest;
}

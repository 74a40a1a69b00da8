/** Learned merges as the files of a Hugging Face directory: tokenizer.json and tokenizer_config.json. */
import { FrugalError } from "../tensor/error.ts";
import * as patterns from "./patterns.ts";
import type { TrainedMerges } from "./train-bpe.ts";

export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** tokenizer_config.json */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface TokenizerRoles {
  /** Special pieces that begin and end a text; may be the same one. Where there is one that begins, it is put before every text. */
  readonly bos?: string | undefined;
  readonly eos?: string | undefined;
  /** The pattern that the merges were learned with. Default GPT-2's. */
  readonly words?: string | undefined;
}

/** Throws FRUGAL_BAD_ARGUMENT for a role that is none of the special pieces. */
export function tokenizerFiles(merges: TrainedMerges, { bos, eos, words = patterns.gpt2 }: TokenizerRoles = {}): TokenizerFiles {
  const special = merges.pieces.slice(0, merges.special);
  for (const piece of [bos, eos])
    if (piece !== undefined && !special.includes(piece))
      throw new FrugalError(
        "FRUGAL_BAD_ARGUMENT",
        `tokenizer: ${JSON.stringify(piece)} is to begin or end texts, but the special pieces are ${special.join(", ") || "none"}; add it there`,
        { piece },
      );
  const plain = words === patterns.gpt2;
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: plain };
  const split = { type: "Split", pattern: { Regex: words }, behavior: "Isolated", invert: false };
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: special.map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: plain ? bytes : { type: "Sequence", pretokenizers: [split, bytes] },
      post_processor: bos === undefined ? null : beginsWith(bos, special.indexOf(bos)),
      decoder: bytes,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(merges.pieces.map((piece, id) => [piece, id])),
        merges: merges.merges,
      },
    },
    config: {
      tokenizer_class: "PreTrainedTokenizerFast",
      ...(bos === undefined ? {} : { bos_token: bos, add_bos_token: true }),
      ...(eos === undefined ? {} : { eos_token: eos }),
      clean_up_tokenization_spaces: false,
    },
  };
}

function beginsWith(piece: string, id: number): unknown {
  const special = { SpecialToken: { id: piece, type_id: 0 } };
  const text = (name: string, type_id: number): unknown => ({ Sequence: { id: name, type_id } });
  return {
    type: "TemplateProcessing",
    single: [special, text("A", 0)],
    pair: [special, text("A", 0), { SpecialToken: { id: piece, type_id: 1 } }, text("B", 1)],
    special_tokens: { [piece]: { id: piece, ids: [id], tokens: [piece] } },
  };
}

/** Tokenizers from Hugging Face's tokenizer.json. */
import { stringAt } from "../tensor/strings.ts";
import { type AddedToken, addedTokens } from "./added-tokens.ts";
import { endingPieces } from "./end-of-generation.ts";
import { readAround } from "./json-around.ts";
import { readDecoder } from "./json-decoder.ts";
import { modelSpec, readModel, spellingsOf } from "./json-model.ts";
import { normalizesBytes, readNormalizer } from "./json-normalizer.ts";
import { badJson, boolean, integer, type JsonRecord, list, record, string } from "./json-read.ts";
import { readWords } from "./json-words.ts";
import { assembleTokenizer, type Tokenizer } from "./tokenizer.ts";

interface AddedEntry extends AddedToken {
  /** Looked for in the text after normalization. */
  readonly normalized: boolean;
}

/**
 * The tokenizer a tokenizer.json describes.
 * @param tokenizerJson the parsed file. @param tokenizerConfig the parsed tokenizer_config.json, for the names of BOS, EOS and padding.
 * @throws FRUGAL_BAD_FILE for what does not add up, FRUGAL_UNSUPPORTED for a part that is not known (naming the nearest).
 */
export function tokenizerFromJson(tokenizerJson: unknown, tokenizerConfig?: unknown): Tokenizer {
  const file = record(tokenizerJson, "the file");
  const config = tokenizerConfig === undefined || tokenizerConfig === null ? {} : record(tokenizerConfig, "tokenizer_config.json");
  const spec = modelSpec(file["model"]);
  const added = list(file["added_tokens"] ?? [], "added_tokens").map(readAdded);
  const spellings = spellingsOf(spec, added);
  const { pieces, ids } = spellings;
  const size = pieces.length;
  if (size === 0) throw badJson("model.vocab", "a vocabulary", spec["vocab"]);

  const named = endingPieces(pieces, (id) => added.some((token) => token.id === id && token.special));
  const special = new Set(added.filter((token) => token.special).map((token) => token.id));
  const addedIds = new Set(added.map((token) => token.id));
  for (const id of named.ends) if (addedIds.has(id)) special.add(id);

  const marks = Boolean(spec["continuing_subword_prefix"]) || Boolean(spec["end_of_word_suffix"]);
  const spelled = marks || spec["type"] !== "BPE";
  const normalize = readNormalizer(file["normalizer"]);
  const words = readWords(file["pre_tokenizer"], spelled);
  const model = readModel(spec, {
    spellings,
    textual: (id) => !special.has(id) && pieces.offsets[id] !== pieces.offsets[id + 1],
    bytes: words.bytes && !spelled && !normalizesBytes(file["normalizer"]),
  });
  const decoder = readDecoder(file["decoder"]);
  const around = readAround(file["post_processor"], size);
  // Special tokens are looked for in the text as it comes, whatever the file says: what is normalized could be forged.
  const early = added.filter((token) => token.special || !token.normalized || normalize === undefined);
  const late = added.filter((token) => !early.includes(token));
  const lateTokens = addedTokens(() => late.map((token) => ({ ...token, text: normalize!(token.text) })));

  const tokenId = (name: string): number | undefined => {
    const value = config[name];
    const text = typeof value === "object" && value !== null ? (value as JsonRecord)["content"] : value;
    return typeof text === "string" ? ids.get(text) : undefined;
  };
  const bos = tokenId("bos_token") ?? tokenId("cls_token") ?? bosOf(around?.prefix, ids);
  const eos =
    tokenId("eos_token") ?? tokenId("sep_token") ?? firstOf(ids, ["</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>"]);
  const flag = (name: string): boolean => boolean(config[name], `tokenizer_config.json: ${name}`, false);
  const addBos = around === undefined ? flag("add_bos_token") : bos !== undefined && around.prefix.includes(bos);
  const addEos = around === undefined ? flag("add_eos_token") : eos !== undefined && around.suffix.includes(eos);

  return assembleTokenizer({
    pieces,
    bytesOf: (id) => decoder.bytesOf(stringAt(pieces, id), addedIds.has(id)),
    isSpecial: (id) => special.has(id),
    added: addedTokens(() => early.map((token) => ({ ...token, special: special.has(token.id) }))),
    encodeFragment: (text, { first }, output) => {
      const encode = (fragment: string, isFirst: boolean): void => {
        for (const word of words.cut(fragment, isFirst)) if (word !== "") model.encode(word, output);
      };
      const normal = normalize === undefined ? text : normalize(text);
      if (late.length === 0) {
        if (normal !== "") encode(normal, first);
        return;
      }
      lateTokens.split(normal, "plain", (fragment, start) => encode(fragment, first && start === 0), output.push);
    },
    findText: (piece) => ids.get(piece) ?? -1,
    ...(around === undefined ? {} : around),
    bos,
    eos,
    unknown: model.unknown,
    padding: tokenId("pad_token"),
    endOfGeneration: new Set([...[...named.ends].filter((id) => addedIds.has(id)), ...(eos === undefined ? [] : [eos])]),
    addBos,
    addEos,
    dropsFirstSpace: decoder.dropsFirstSpace,
  });
}

function readAdded(value: unknown, i: number): AddedEntry {
  const where = `added_tokens[${i}]`;
  const entry = record(value, where);
  const special = boolean(entry["special"], `${where}.special`, false);
  return {
    id: integer(entry["id"], `${where}.id`, 1 << 24),
    text: string(entry["content"], `${where}.content`),
    special,
    leftStrip: boolean(entry["lstrip"], `${where}.lstrip`, false),
    rightStrip: boolean(entry["rstrip"], `${where}.rstrip`, false),
    singleWord: boolean(entry["single_word"], `${where}.single_word`, false),
    normalized: boolean(entry["normalized"], `${where}.normalized`, !special),
  };
}

/** The first id before a text is its BOS, where the configuration does not say. */
function bosOf(prefix: readonly number[] | undefined, ids: ReadonlyMap<string, number>): number | undefined {
  return prefix?.[0] ?? firstOf(ids, ["<s>", "<bos>", "<|begin_of_text|>"]);
}

function firstOf(ids: ReadonlyMap<string, number>, names: readonly string[]): number | undefined {
  for (const name of names) {
    const id = ids.get(name);
    if (id !== undefined) return id;
  }
  return undefined;
}

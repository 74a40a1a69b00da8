/** Tokenizers from the metadata of GGUF files. */
import { FrugalError, nearest } from "../tensor/error.ts";
import { type Metadata, type StringTable, stringAt, stringBytes } from "../tensor/strings.ts";
import { type AddedToken, addedTokens } from "./added-tokens.ts";
import { bertWords, cleanBert } from "./bert-text.ts";
import { readAlphabet, readPieces } from "./byte-alphabet.ts";
import { byteEncoder, characterEncoder, type MergeTable, mergeTable } from "./bpe.ts";
import { characterMap, normalizeLongest } from "./charsmap.ts";
import { endingPieces } from "./end-of-generation.ts";
import { booleanOf, idOf, numbersOf, requiredStrings, stringsOf, textOf } from "./metadata-read.ts";
import { type PreTokenizer, preTokenizer } from "./pre-tokenizers.ts";
import { rankEncoder } from "./ranks.ts";
import { patternOf } from "./split.ts";
import { byteOf, bytePieces, scoredEncoder } from "./spm.ts";
import { assembleTokenizer, type FragmentPlace, type Tokenizer, type TokenizerParts } from "./tokenizer.ts";
import type { TokenBuffer } from "./token-buffer.ts";
import { unigramEncoder } from "./unigram.ts";
import { spaceMark } from "./utf8.ts";
import { type Vocabulary, vocabulary } from "./vocabulary.ts";
import { wordPieceEncoder } from "./wordpiece.ts";

const prefix = "tokenizer.ggml.";
/** Piece types of `tokenizer.ggml.token_type`. */
const type = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** What a file says, checked. */
interface Description {
  readonly metadata: Metadata;
  readonly pieces: StringTable;
  readonly types: Uint8Array;
  readonly ids: Readonly<Record<"bos" | "eos" | "unknown" | "separator" | "padding", number | undefined>>;
  /** Whether text may become this piece. */
  textual(id: number): boolean;
}

/** What the model of a tokenizer decides: how text is encoded, what pieces stand for, what holds where the file is silent. */
type Model = Pick<TokenizerParts, "bytesOf" | "encodeFragment" | "findText"> & {
  dropsFirstSpace?: boolean;
  addBos: boolean;
  addEos: boolean;
  around?: readonly [number[], number[]];
};

interface Kind {
  readonly defaults: Partial<Record<keyof Description["ids"], number>>;
  read(description: Description): Model;
}

const kinds: Readonly<Record<string, Kind>> = {
  llama: { defaults: { bos: 1, eos: 2, unknown: 0 }, read: sentencePieceModel },
  gpt2: { defaults: {}, read: (description) => mergesModel(description, textOf(description.metadata, `${prefix}pre`) ?? "default") },
  gemma4: { defaults: {}, read: (description) => mergesModel(description, "gemma4") },
  bert: { defaults: { bos: 101, unknown: 100, separator: 102, padding: 0 }, read: wordPieceModel },
  t5: { defaults: { eos: 1, unknown: 2, padding: 0 }, read: unigramModel },
};

/**
 * The tokenizer a GGUF file describes.
 * @throws FRUGAL_BAD_FILE for metadata that does not add up, FRUGAL_UNSUPPORTED for a model or pre-tokenizer that is not known (naming the nearest).
 */
export function tokenizerFromMetadata(metadata: Metadata): Tokenizer {
  const model = textOf(metadata, `${prefix}model`);
  if (model === undefined)
    throw new FrugalError("FRUGAL_NOT_FOUND", `tokenizer: the file has no ${prefix}model; it holds no tokenizer, name one beside it`, {});
  if (model === "none" || model === "no_vocab") return withoutVocabulary(metadata);
  const kind = Object.hasOwn(kinds, model) ? kinds[model] : undefined;
  if (kind === undefined) {
    const near = nearest(model, Object.keys(kinds));
    throw new FrugalError(
      "FRUGAL_UNSUPPORTED",
      `tokenizer: the model ${JSON.stringify(model)} is not known${near === undefined ? "." : `; did you mean ${JSON.stringify(near)}?`} Known are ${Object.keys(kinds).join(", ")}`,
      { model, near },
    );
  }

  const pieces = requiredStrings(metadata, `${prefix}tokens`);
  const size = pieces.length;
  if (size === 0) throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer: ${prefix}tokens is empty; convert the model again`, {});
  const given = numbersOf(metadata, `${prefix}token_type`, size);
  const types = new Uint8Array(size).fill(type.normal);
  if (given !== undefined) types.set(given.length === size ? given : Array.prototype.slice.call(given, 0, size));
  const named = endingPieces(pieces, (id) => types[id] === type.control);
  for (const id of named.ends) types[id] = type.control; // some converters forget it

  const idAt = (key: string, fallback: number | undefined): number | undefined =>
    idOf(metadata, prefix + key, size) ?? (fallback !== undefined && fallback < size && !metadata.has(prefix + key) ? fallback : undefined);
  const ids = {
    bos: idAt("bos_token_id", kind.defaults.bos),
    eos: idAt("eos_token_id", kind.defaults.eos),
    unknown: idAt("unknown_token_id", kind.defaults.unknown),
    separator: idAt("seperator_token_id", kind.defaults.separator), // the key is spelled so in the format
    padding: idAt("padding_token_id", kind.defaults.padding),
  };
  const textual = (id: number): boolean =>
    types[id] !== type.control && types[id] !== type.unknown && types[id] !== type.byte && pieces.offsets[id] !== pieces.offsets[id + 1];
  const { around, addBos, addEos, ...read } = kind.read({ metadata, pieces, types, ids, textual });
  const ends = new Set([
    ...named.ends,
    ...[ids.eos, idAt("eot_token_id", undefined), idAt("eom_token_id", undefined)].filter((id) => id !== undefined),
  ]);
  return assembleTokenizer({
    pieces,
    isSpecial: (id) => types[id] === type.control || types[id] === type.unknown,
    added: addedTokens(() => addedOf(metadata, pieces, types)),
    bos: ids.bos,
    eos: ids.eos,
    unknown: ids.unknown,
    padding: ids.padding,
    endOfGeneration: ends,
    addBos: booleanOf(metadata, `${prefix}add_bos_token`) ?? addBos,
    addEos: booleanOf(metadata, `${prefix}add_eos_token`) ?? addEos,
    ...(around === undefined ? {} : { prefix: around[0], suffix: around[1], between: { ids: around[1], segment: 1 } }),
    ...read,
  });
}

function addedOf(metadata: Metadata, pieces: StringTable, types: Uint8Array): AddedToken[] {
  // Files do not say which tokens swallow spaces; these models are known to have such.
  const name = (textOf(metadata, "general.name") ?? "").toLowerCase();
  const isPhi3 = /phi-?3/u.test(name);
  const keepsSpace = new Set(["<unk>", "<s>", "<|endoftext|>"]);
  const stripsLeft = name.includes("modern-bert")
    ? "[MASK]"
    : /jina-v2-(?:de|es|code)/u.test(textOf(metadata, `${prefix}pre`) ?? "") ||
        /nomic-bert-moe|jina-bert-v3/u.test(textOf(metadata, "general.architecture") ?? "")
      ? "<mask>"
      : undefined;
  const tokens: AddedToken[] = [];
  for (let id = 0; id < types.length; id++) {
    const special = types[id] === type.control || types[id] === type.unknown;
    if (!special && types[id] !== type.userDefined) continue;
    const text = stringAt(pieces, id);
    tokens.push({ id, text, special, rightStrip: isPhi3 && !keepsSpace.has(text), leftStrip: text === stripsLeft });
  }
  return tokens;
}

/** Pieces that spell characters: byte pieces are bytes, U+2581 is a space, special pieces are themselves. */
function characterBytes({ pieces, types }: Description): (id: number) => Uint8Array {
  return (id) => {
    const piece = stringBytes(pieces, id);
    if (types[id] === type.byte) {
      const byte = byteOf(piece);
      return byte < 0 ? piece : Uint8Array.of(byte);
    }
    return types[id] === type.normal || types[id] === type.unused ? withSpaces(piece) : piece;
  };
}

function withSpaces(piece: Uint8Array): Uint8Array {
  if (piece.indexOf(0xe2) < 0) return piece;
  const result = new Uint8Array(piece.length);
  let length = 0;
  for (let at = 0; at < piece.length; at++) {
    const marked = piece[at] === 0xe2 && piece[at + 1] === 0x96 && piece[at + 2] === 0x81;
    result[length++] = marked ? 0x20 : piece[at]!;
    if (marked) at += 2;
  }
  return result.subarray(0, length);
}

function sentencePieceModel(description: Description): Model {
  const { metadata, pieces, types, ids, textual } = description;
  const words = vocabulary(pieces, textual);
  const scores = numbersOf(metadata, `${prefix}scores`, pieces.length);
  if (scores === undefined)
    throw new FrugalError(
      "FRUGAL_BAD_FILE",
      `tokenizer: ${prefix}scores is missing, without which pieces cannot merge; convert the model again`,
      {},
    );
  const addSpace = booleanOf(metadata, `${prefix}add_space_prefix`) ?? true;
  const byteIds = bytePieces(words, (id) => types[id] === type.byte);
  const encode = scoredEncoder({ vocabulary: words, scores, byteIds, unknown: ids.unknown ?? -1 });
  return {
    bytesOf: characterBytes(description),
    encodeFragment: (text, { afterToken }, output) => encode(addSpace && afterToken ? ` ${text}` : text, output),
    findText: words.findText,
    dropsFirstSpace: addSpace,
    addBos: true,
    addEos: false,
  };
}

function mergesModel(description: Description, name: string): Model {
  const { metadata, pieces, types, textual } = description;
  const pre = preTokenizer(name);
  const merges = stringsOf(metadata, `${prefix}merges`);
  const defaults = { addBos: pre.addBos ?? false, addEos: false };
  if (pre.characters === true) {
    if (merges === undefined) throw noMerges();
    const words = vocabulary(pieces, textual);
    return {
      ...defaults,
      addBos: true,
      bytesOf: characterBytes(description),
      findText: words.findText,
      encodeFragment: characterFragments(description, pre, words, mergesOf(merges, words, false)),
    };
  }
  const { table, spelled } = readPieces(pieces, (id) => types[id] !== type.normal && types[id] !== type.unused);
  const words = vocabulary(table, (id) => textual(id) && spelled[id] === 1);
  // Kimi's files may come without merges: there a piece's id is its rank.
  const encodeWord = merges === undefined && name === "kimi-k2" ? rankEncoder(words) : byteMerges(words, merges, pre.wholeWords ?? false);
  const scratch = new TextEncoder();
  const cut = cutter(pre);
  return {
    ...defaults,
    bytesOf: (id) => stringBytes(table, id),
    findText: (piece) => {
      const source = scratch.encode(piece);
      const bytes = new Uint8Array(source.length);
      const length = readAlphabet(source, 0, source.length, bytes, 0);
      return length < 0 ? -1 : words.find(bytes, 0, length);
    },
    encodeFragment: (text, _place, output) => cut(text, (word) => encodeWord(word, output)),
  };
}

const noMerges = (): FrugalError =>
  new FrugalError("FRUGAL_BAD_FILE", `tokenizer: ${prefix}merges is missing; convert the model again`, {});

function byteMerges(words: Vocabulary, merges: StringTable | undefined, wholeWords: boolean): (word: string, output: TokenBuffer) => void {
  if (merges === undefined) throw noMerges();
  return byteEncoder({ vocabulary: words, merges: mergesOf(merges, words, true), wholeWords, unknown: -1 });
}

/** Reads "left right" rules. Rules about pieces that do not exist, or that would make a special token, are left out. */
function mergesOf(rules: StringTable, words: Vocabulary, spelled: boolean): MergeTable {
  const merges = mergeTable(rules.length);
  const { bytes, offsets } = rules;
  let scratch = new Uint8Array(512);
  for (let i = 0; i < rules.length; i++) {
    const start = offsets[i]!;
    const end = offsets[i + 1]!;
    const space = bytes.indexOf(0x20, start + 1);
    if (space < 0 || space >= end) continue;
    if (scratch.length < end - start) scratch = new Uint8Array(end - start);
    let left = space - start;
    let right = end - space - 1;
    if (spelled) {
      left = readAlphabet(bytes, start, space, scratch, 0);
      right = left < 0 ? -1 : readAlphabet(bytes, space + 1, end, scratch, left);
      if (right < 0) continue;
    } else {
      scratch.set(bytes.subarray(start, space));
      scratch.set(bytes.subarray(space + 1, end), left);
    }
    const result = words.find(scratch, 0, left + right);
    if (result < 0) continue;
    const leftId = words.find(scratch, 0, left);
    const rightId = words.find(scratch, left, left + right);
    if (leftId >= 0 && rightId >= 0) merges.add(leftId, rightId, result);
  }
  return merges;
}

type Cut = (text: string) => readonly string[];

/** The cuts of a pre-tokenizer, compiled when the first text comes. */
function cutter({ cuts }: PreTokenizer): (text: string, onWord: (word: string) => void) => void {
  let compiled: Cut[] | undefined;
  return (text, onWord) => cutInto((compiled ??= cuts.map((source) => patternOf(source).cut)), text, onWord, 0);
}

function cutInto(cuts: readonly Cut[], text: string, onWord: (word: string) => void, depth: number): void {
  if (text === "") return;
  const cut = cuts[depth];
  if (cut === undefined) return onWord(text);
  for (const part of cut(text)) cutInto(cuts, part, onWord, depth + 1);
}

function characterFragments(
  description: Description,
  pre: PreTokenizer,
  words: Vocabulary,
  merges: MergeTable,
): TokenizerParts["encodeFragment"] {
  const { types, ids } = description;
  const encodeWord = characterEncoder({
    vocabulary: words,
    merges,
    wholeWords: pre.wholeWords ?? false,
    byteIds: bytePieces(words, (id) => types[id] === type.byte),
    unknown: ids.unknown ?? -1,
    fuseUnknown: false,
    continuingPrefix: "",
    wordSuffix: "",
  });
  const cut = cutter(pre);
  return (text, _place: FragmentPlace, output) =>
    cut(text.replaceAll(" ", spaceMark), (word) => {
      const whole = pre.wholeLines === true && word.startsWith("\n") ? words.findText(word) : -1;
      if (whole >= 0) output.push(whole);
      else encodeWord(word, output);
    });
}

function wordPieceModel({ metadata, pieces, ids, textual }: Description): Model {
  const words = vocabulary(pieces, textual);
  const lowercase = booleanOf(metadata, `${prefix}normalizer.lowercase`) ?? true;
  const stripAccents = booleanOf(metadata, `${prefix}normalizer.strip_accents`) ?? lowercase;
  const encodeWord = wordPieceEncoder({
    vocabulary: words,
    unknown: ids.unknown ?? -1,
    startPrefix: spaceMark,
    continuingPrefix: "",
    longestWord: 100,
  });
  return {
    bytesOf: (id) => withSpaces(stringBytes(pieces, id)),
    encodeFragment: (text, _place, output) => {
      for (const word of bertWords(cleanBert(text, { cleanText: true, separateHan: true, stripAccents, lowercase })))
        encodeWord(word, output);
    },
    findText: words.findText,
    dropsFirstSpace: true,
    addBos: true,
    addEos: false,
    around: [ids.bos === undefined ? [] : [ids.bos], ids.separator === undefined ? [] : [ids.separator]],
  };
}

function unigramModel(description: Description): Model {
  const { metadata, pieces, types, ids, textual } = description;
  const scores = numbersOf(metadata, `${prefix}scores`, pieces.length);
  if (scores === undefined)
    throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer: ${prefix}scores is missing, by which texts are cut; convert the model again`, {});
  let least = Infinity;
  for (let id = 0; id < pieces.length; id++) if (types[id] === type.normal && scores[id]! < least) least = scores[id]!;
  const encode = unigramEncoder({
    pieces,
    included: textual,
    score: (id) => (types[id] === type.userDefined ? 0 : scores[id]!),
    unknownScore: least - 10,
    unknown: ids.unknown ?? -1,
  });
  const blob = numbersOf(metadata, `${prefix}precompiled_charsmap`, 0);
  const map = blob === undefined || blob.length === 0 ? undefined : characterMap(Uint8Array.from(blob));
  const addSpace = booleanOf(metadata, `${prefix}add_space_prefix`) ?? false;
  const mergeSpaces = booleanOf(metadata, `${prefix}remove_extra_whitespaces`) ?? false;
  const words = vocabulary(pieces, textual);
  return {
    bytesOf: characterBytes(description),
    encodeFragment: (text, _place, output) => {
      const normal = map === undefined ? text : normalizeLongest(map, text);
      encode(mergeSpaces ? normal.replace(/ *([^ ]+) */gu, `${spaceMark}$1`).replaceAll(" ", "") : markSpaces(normal, addSpace), output);
    },
    findText: words.findText,
    dropsFirstSpace: addSpace || mergeSpaces,
    addBos: false,
    addEos: true,
  };
}

function markSpaces(text: string, addSpace: boolean): string {
  const marked = text.replaceAll(" ", spaceMark);
  return addSpace && marked !== "" ? marked.replace(/^\u2581*(?=[^\u2581])/u, (spaces) => spaces + spaceMark) : marked;
}

/** Files that hold a model without its tokenizer: ids only. */
function withoutVocabulary(metadata: Metadata): Tokenizer {
  const architecture = textOf(metadata, "general.architecture") ?? "";
  const size = metadata.get(`${architecture}.vocab_size`) ?? 0;
  if (typeof size !== "number" || !Number.isInteger(size) || size < 0 || size > 1 << 24)
    throw new FrugalError("FRUGAL_BAD_FILE", `tokenizer: ${architecture}.vocab_size is ${String(size)}; convert the model again`, {});
  const none = (): never => {
    throw new FrugalError("FRUGAL_UNSUPPORTED", "tokenizer: the file holds a model without a tokenizer; pass token ids", {});
  };
  const empty = new Uint8Array(0);
  return {
    ...assembleTokenizer({
      pieces: { length: size, bytes: empty, offsets: new Uint32Array(size + 1) },
      bytesOf: () => empty,
      isSpecial: () => false,
      added: addedTokens(() => []),
      encodeFragment: none,
    }),
    encode: none,
    encodeGuarded: none,
    decode: none,
  };
}
